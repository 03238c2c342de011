"""What there is to say of a tuning, from the record that it left."""

from collections.abc import Mapping
from typing import Any

from lmjax.runs.terminal import printable
from lmjax.studies.spaces import space_text

HOW = {
    "grid": "",
    "random": ", drawn at random",
    "successive_halving": ", drawn at random, of which the best one of {factor} goes on to "
    "{factor} times the budget, again and again (successive halving)",
    "optuna": ", proposed by Optuna's TPE",
}


def search_text(tuning: Mapping[str, Any], trials: int) -> str:
    """How a tuning, as JSON has it, searches with so many trials to begin with."""
    how = HOW.get(tuning["search"], ", by {search}").format(**tuning)
    flops = " of the baseline, in FLOPs," if tuning["equal"] == "flops" else ""
    budget = f"{trials} trials of {tuning['budget']}{flops} each{how}, seed {tuning['seed']}"
    return f"{budget}: {space_text(tuning['space'])}"


def first_trials(tuned: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The trials that the search began with."""
    return [trial for trial in tuned["trials"] if trial["times"] == 1]


def tuning_figures(tuned: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a report's table of choices."""
    trials, ended = len(first_trials(tuned)), _ended(tuned)
    failed = len(tuned["trials"]) - len(ended)
    best = next((trial for trial in reversed(ended) if trial["fields"] == tuned["chosen"]), None)
    tokens, flops = spent(tuned, "tokens"), spent(tuned, "flops")
    chosen = ", ".join(
        f"{name.rpartition('.')[2]}={value}" for name, value in tuned["chosen"].items()
    )
    return {
        "trials": f"{trials} ({failed} failed)" if failed else str(trials),
        "tokens each": f"{longest_trial(tuned, 'tokens'):,}",
        "tuning tokens": f"{tokens:,.0f}",
        "tuning FLOPs": f"{flops:.3g}" if flops else "",
        "best trial": "" if best is None else f"{best['bits_per_byte']:.4f}",
        "chosen": printable(chosen),
    }


def spent(tuned: Mapping[str, Any], quantity: str) -> float:
    """Tokens or FLOPs of all trials that ended; what went on is counted once."""
    most = {}
    for trial in _ended(tuned):
        fields = str(trial["fields"])
        most[fields] = max(most.get(fields, 0), trial[quantity] or 0)
    return sum(most.values())


def longest_trial(tuned: Mapping[str, Any], quantity: str) -> float:
    """Tokens or FLOPs of the trial that ended with the most of them."""
    return max((trial[quantity] or 0 for trial in _ended(tuned)), default=0)


def budget_unit(tuned: Mapping[str, Any], quantity: str) -> float:
    """Tokens or FLOPs of a trial of the first budget, as those tell that ended, of any budget."""
    return max(((trial[quantity] or 0) / trial["times"] for trial in _ended(tuned)), default=0)


def _ended(tuned: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [trial for trial in tuned["trials"] if trial["bits_per_byte"] is not None]
