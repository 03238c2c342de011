"""Durations as people write them (`3 epochs`, `10 percent`), in steps."""

from dataclasses import dataclass, replace

from lmjax.errors import UserError, nearest

UNITS = ("steps", "epochs", "tokens", "percent")
MOST_STEPS = (1 << 31) - 1  # that an int32 counts


@dataclass(frozen=True)
class Clock:
    """What one step is worth; `total_steps` is 0 until the whole training's duration is known."""

    steps_per_epoch: int
    tokens_per_step: int
    total_steps: int = 0

    def steps(self, duration: str) -> int:
        """`duration` in steps, rounded to the nearest and at least 1 unless it is zero.

        Raises UserError if it is not a non-negative number and one of steps, epochs, tokens,
        percent, or if it is more steps than can be counted.
        """
        amount, unit = parse_duration(duration)
        if unit == "percent" and not self.total_steps:
            raise UserError(
                f"{duration!r} cannot be the whole duration: give steps, epochs, tokens"
            )
        steps_a_unit = {
            "steps": 1.0,
            "epochs": self.steps_per_epoch,
            "tokens": 1 / self.tokens_per_step,
            "percent": self.total_steps / 100,
        }[unit]
        steps = amount * steps_a_unit
        if steps > MOST_STEPS:
            raise UserError(f"{duration!r} is more than {MOST_STEPS:,} steps; give a shorter one")
        return max(1, round(steps)) if amount else 0

    @property
    def total_tokens(self) -> int:
        """Of the whole training."""
        return self.total_steps * self.tokens_per_step

    def with_total(self, duration: str) -> "Clock":
        """The same clock for a training of the given duration; raises UserError if it is zero."""
        total = self.steps(duration)
        if not total:
            raise UserError(f"training.duration is {duration!r}; it must be longer than zero")
        return replace(self, total_steps=total)


def parse_duration(duration: str) -> tuple[float, str]:
    """Amount and unit, one of UNITS; raises UserError if it is not a duration."""
    parts = str(duration).replace("%", " percent").split()
    example = "write a number and a unit, as in '2000 steps' or '3 epochs'"
    if len(parts) != 2:
        raise UserError(f"{duration!r} is not a duration; {example}")
    try:
        amount = float(parts[0].replace(",", "").replace("_", ""))
    except ValueError:
        raise UserError(f"{duration!r} is not a duration; {example}") from None
    unit = parts[1] if parts[1] in UNITS else parts[1] + "s"
    if unit not in UNITS:
        raise UserError(f"{duration!r} has an unknown unit: {nearest(parts[1], UNITS)}")
    if not 0 <= amount < float("inf"):
        raise UserError(f"{duration!r} is not a duration: it must be finite and not negative")
    return amount, unit
