"""The scorecard: what was tried how often, how often it failed, and what that bounds."""

from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import beta

HEADER = (
    "| what | trials | failures | 95 % upper bound | seconds | notes |\n|---|--:|--:|--:|--:|---|"
)


@dataclass(frozen=True)
class Row:
    """One line of the scorecard."""

    line: str  # begins with the number of the line in the scorecard
    trials: int
    failures: int
    seconds: float
    note: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_markdown(self) -> str:
        bound = f"{100 * upper_bound(self.trials, self.failures):.2g} %"
        cells = (self.line, self.trials, self.failures, bound, f"{self.seconds:.1f}", self.note)
        return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def upper_bound(trials: int, failures: int) -> float:
    """The largest rate of failure that 95 % of such trials would not show to be smaller.

    Clopper & Pearson 1934; without a failure the rule of three, 3 / trials.
    """
    if not trials or failures == trials:
        return 1.0
    if not failures:
        return min(1.0, 3 / trials)
    return float(beta.ppf(0.95, failures + 1, trials - failures))


def to_markdown(rows: list[Row]) -> str:
    """The table, in the order of its lines."""
    ordered = sorted(rows, key=lambda row: row.line)
    return "\n".join([HEADER, *(row.to_markdown() for row in ordered)]) + "\n"
