"""Axes of a study as lists of points, each the fields it sets: `{"model.width": 64, ...}`.

An axis is a plain list; these functions make longer ones of shorter ones and change none of them.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError
from lmjax.studies.study import Arm, flatten

Point = dict[str, Any]
Axis = list[Point]


def sweep(field: str, values: Iterable) -> Axis:
    """A point for each value of one field.

    >>> sweep("layers", (1, 2))
    [{'layers': 1}, {'layers': 2}]
    """
    return [{field: value} for value in values]


def product(*axes: Sequence[Point]) -> Axis:
    """Every combination of a point of each axis; the last axis varies fastest.

    >>> product(sweep("layers", (1, 2)), sweep("cell", ("gru", "lstm")))[:2]
    [{'layers': 1, 'cell': 'gru'}, {'layers': 1, 'cell': 'lstm'}]

    Raises UserError if two axes set the same field.
    """
    points: Axis = [{}]
    for axis in axes:
        points = [_joined(point, other) for point in points for other in axis]
    return points


def zipped(*axes: Sequence[Point]) -> Axis:
    """The first points of all axes joined, then the second ones, and so on.

    >>> zipped(sweep("layers", (1, 2)), sweep("width", (64, 48)))
    [{'layers': 1, 'width': 64}, {'layers': 2, 'width': 48}]

    Raises UserError if axes differ in length, or set the same field.
    """
    if len(lengths := {len(axis) for axis in axes}) > 1:
        raise UserError(f"axes of {sorted(lengths)} points can't be zipped; give equally many")
    return [_joined(*points) for points in zip(*axes, strict=True)]


def chain(*axes: Sequence[Point]) -> Axis:
    """The points of one axis after those of another.

    >>> chain([{}], sweep("layers", (2,)))
    [{}, {'layers': 2}]
    """
    return [dict(point) for axis in axes for point in axis]


def prefix(name: str, axis: Sequence[Point]) -> Axis:
    """The same points with every field below `name`.

    >>> prefix("model", sweep("width", (64,)))
    [{'model.width': 64}]
    """
    return [{f"{name}.{field}": value for field, value in point.items()} for point in axis]


def subsample(axis: Sequence[Point], count: int, seed: int) -> Axis:
    """So many of the points, drawn without replacement, in their order; all if there are no more.

    A larger `count` adds points to those of a smaller one with the same seed.

    >>> subsample(sweep("layers", range(9)), 3, seed=0)
    [{'layers': 1}, {'layers': 5}, {'layers': 7}]
    """
    places = list(range(len(axis)))
    random.Random(seed).shuffle(places)
    return [dict(axis[place]) for place in sorted(places[:count])]


def conditional(axis: Sequence[Point], where: Mapping[str, Any], then: Sequence[Point]) -> Axis:
    """The points with the values of `where` combined with those of `then`, the others as they are.

    >>> cells = sweep("cell", ("gru", "lstm"))
    >>> conditional(cells, {"cell": "lstm"}, sweep("forget_bias", (0.0, 1.0)))
    ... # doctest: +NORMALIZE_WHITESPACE
    [{'cell': 'gru'}, {'cell': 'lstm', 'forget_bias': 0.0}, {'cell': 'lstm', 'forget_bias': 1.0}]

    Raises UserError if a point sets a field that `then` sets.
    """

    def holds(point: Point) -> bool:
        return all(name in point and point[name] == value for name, value in where.items())

    return chain(*(product([point], then) if holds(point) else [point] for point in axis))


def arms_of(
    base: ConfigDict, axis: Sequence[Point], *, base_name: str = "base", **fields: Any
) -> tuple[Arm, ...]:
    """An arm for each point, the base with the point's fields, named after its differences from it.

    Such a name is `cell=gru, width=64`; a point without a difference is named `base_name`. `fields`
    are those of all arms, such as `size_field`. Raises UserError for a field that the base has not,
    and for two points that come to the same configuration.
    """
    known = flatten(base)
    differences = [
        {name: value for name, value in point.items() if name not in known or known[name] != value}
        for point in axis
    ]
    shorts = Counter(_short(name) for name in {name for point in differences for name in point})
    arms = {}
    for difference in differences:
        parts = (
            f"{_short(name) if shorts[_short(name)] == 1 else name}={_text(value)}"
            for name, value in difference.items()
        )
        arm = Arm(", ".join(parts) or base_name, base, **fields).with_fields(difference)
        if arm.name in arms:
            raise UserError(f"two points of an axis come to the arm {arm.name!r}; give each once")
        arms[arm.name] = arm
    return tuple(arms.values())


def _joined(*points: Point) -> Point:
    counts = Counter(name for point in points for name in point)
    for name, count in counts.items():
        if count > 1:
            raise UserError(f"two axes set {name}; leave it out of one of them")
    return {name: value for point in points for name, value in point.items()}


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "+".join(map(str, value)) or "none"
    return str(value)
