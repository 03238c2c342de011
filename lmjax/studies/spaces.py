"""Search spaces: for each field a choice of values or a range of numbers, and points of them."""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmjax.errors import UserError

DIGITS = 4  # of a number drawn from a range, so that it can be read, and written into a paper

Point = dict[str, Any]


@dataclass(frozen=True)
class Uniform:
    """Any number from `low` to `high`, one as likely as another; UserError if there is none."""

    low: float
    high: float

    def __post_init__(self):
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UserError(f"a range from {self.low} to {self.high} is none; give low < high")

    def at(self, share: float) -> float:
        """The number below which lies that share of the range."""
        return self.low + share * (self.high - self.low)

    def to_json(self) -> dict[str, Any]:
        return {"uniform": [self.low, self.high]}


@dataclass(frozen=True)
class LogUniform(Uniform):
    """Any number from `low` to `high`, whose logarithm is one as likely as another."""

    def __post_init__(self):
        super().__post_init__()
        if self.low <= 0:
            raise UserError(f"a range of logarithms begins at {self.low}; give more than 0")

    def at(self, share: float) -> float:
        """The number below which lies that share of the range."""
        return self.low * (self.high / self.low) ** share

    def to_json(self) -> dict[str, Any]:
        return {"log_uniform": [self.low, self.high]}


Space = Mapping[str, Sequence | Uniform]  # field: values, or a range


def combinations(values: Mapping[str, Sequence]) -> list[Point]:
    """Every combination of the fields' values; without fields, one."""
    return [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*values.values())
    ]


def draw(space: Space, count: int, seed: int) -> list[Point]:
    """So many points, drawn at random; a larger `count` adds to those of a smaller one."""
    source = random.Random(seed)
    return [
        {name: point_at(options, source.random()) for name, options in space.items()}
        for _ in range(count)
    ]


def point_at(options: Sequence | Uniform, share: float) -> Any:
    """The value at that share, from 0 to below 1, of a choice or a range."""
    if isinstance(options, Uniform):
        return rounded(options.at(share))
    return options[int(share * len(options))]


def rounded(number: float) -> float:
    """To as many digits as drawn numbers have."""
    return float(f"{number:.{DIGITS}g}")


def point_name(point: Point) -> str:
    """Such as `learning_rate=0.01,initialization=0.1`."""
    return ",".join(f"{name.rpartition('.')[2]}={value}" for name, value in point.items())


def space_to_json(space: Space) -> dict[str, Any]:
    """A list for each choice, an object for each range."""
    return {
        name: options.to_json() if isinstance(options, Uniform) else list(options)
        for name, options in space.items()
    }


def is_options(value: Any) -> bool:
    """Whether it is what `space_to_json` makes of a field's choice or range."""
    if isinstance(value, dict):
        return len(value) == 1 and all(
            name in ("uniform", "log_uniform") and isinstance(ends, list) and len(ends) == 2
            for name, ends in value.items()
        )
    return isinstance(value, list)


def space_text(space: Mapping[str, Any]) -> str:
    """In words what `space_to_json` made."""
    return "; ".join(f"{name} {_options_text(options)}" for name, options in space.items())


def _options_text(options: list | dict[str, list]) -> str:
    if isinstance(options, list):
        return ", ".join(map(str, options))
    ((kind, (low, high)),) = options.items()
    return f"{low} to {high}" + (" (of logarithms)" if kind == "log_uniform" else "")
