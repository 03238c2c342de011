"""Makes the arms of a study equal: a field of each is solved for, and what is not is checked."""

from collections.abc import Mapping
from dataclasses import replace

from lmjax.errors import UserError
from lmjax.studies.measures import Measures, is_counted
from lmjax.studies.solving import LARGEST_SIZE, solve_size
from lmjax.studies.study import DURATION, SIZES, TOLERANCE, Arm, Study, flatten
from lmjax.training.durations import MOST_STEPS

FINE_FIELDS = ("model.feed_forward_width", "model.embedding_width")  # what an error advises


def match_study(study: Study, measures: Measures | None = None) -> Study:
    """The study with what is matched solved for in every gradient-trained arm.

    A size is solved for by an arm's `size_field`, and by its `fine_field` where the former is too
    coarse. So are training FLOPs at the duration that is configured; beside a size, they are by the
    duration. Training tokens are checked or, where they alone have a target, solved for by the
    duration. All arms are matched to the baseline or, with a target, that one as well to the
    target. Counted arms are left as they are. Raises UserError if an arm can't come within
    TOLERANCE.
    """
    trained = {arm.name: arm for arm in study.arms if not is_counted(arm)}
    if not trained or not study.matched:
        return study
    if study.baseline not in trained:
        raise UserError(
            f"the baseline {study.baseline!r} is counted and has no size to match; "
            f"take one that is trained: {', '.join(trained)}"
        )
    measures, target = measures or Measures(), study.target
    for quantity, field in _solved_for(study).items():
        goal = target or _count(trained[study.baseline], quantity, measures)
        for name, arm in trained.items():
            trained[name] = _match(arm, quantity, goal, field, measures)
        target = None  # it is of the first quantity alone
    if "training_tokens" in study.matched:
        tokens = {name: measures.of(arm, "training_tokens") for name, arm in trained.items()}
        _check_tokens(tokens, study.baseline)
    return replace(study, arms=tuple(trained.get(arm.name, arm) for arm in study.arms))


def _solved_for(study: Study) -> dict[str, str]:
    """The quantities to be solved for, in order, and the field for it if it is all arms' same."""
    solved = {size: "" for size in SIZES if size in study.matched}
    if "training_flops" in study.matched:
        solved["training_flops"] = DURATION if solved else ""
    elif not solved and study.target:
        solved["training_tokens"] = DURATION
    return solved


def _match(arm: Arm, quantity: str, target: float, field: str, measures: Measures) -> Arm:
    def distance(arm: Arm) -> float:
        return abs(_count(arm, quantity, measures) - target) / target

    matched, solved = arm, []
    knobs = {field: 1} if field else {arm.size_field: arm.multiple_of, arm.fine_field: 1}
    for knob, multiple_of in knobs.items():
        if knob and distance(matched) > TOLERANCE:
            matched = _solve(matched, quantity, target, knob, multiple_of, measures)
            solved.append(knob)
    for choice, candidate in matched.candidates().items():
        if distance(candidate) > TOLERANCE:
            best, name = measures.of(candidate, quantity), quantity.replace("_", " ")
            with_choice = f" with {choice}" if choice else ""
            values = ", ".join(f"{knob} {flatten(matched.config)[knob]}" for knob in solved)
            same = solved and measures.of(matched, quantity) == measures.of(arm, quantity)
            raise UserError(
                f"arm {arm.name!r} can't match {target:,.0f} {name} within {TOLERANCE:.0%}: at "
                f"best{with_choice} it has {best:,.0f} ({best / target - 1:+.1%})"
                f"{', at ' if values else ''}{values}; {_advice(matched, knobs, bool(same), name)}"
            )
    return matched


def _solve(
    arm: Arm, quantity: str, target: float, field: str, multiple_of: int, measures: Measures
) -> Arm:
    """The arm with the integer of `field`, steps for the duration, that comes nearest to target."""
    by_duration = field == DURATION

    def sized(value: int) -> Arm:
        return arm.with_fields({field: f"{value} steps" if by_duration else value})

    def count(value: int) -> float:
        try:
            return _count(sized(value), quantity, measures)
        except UserError as error:
            raise UserError(
                f"{error}; that was {field} {value}, on the way to a match: set the arm's "
                "multiple_of to what it must be a multiple of"
            ) from error

    if by_duration:
        start = measures.clock(arm).steps(arm.config.training.duration)
    else:
        start = flatten(arm.config).get(field) or arm.config.model.get("width", 1)
    largest = MOST_STEPS if by_duration else LARGEST_SIZE
    return sized(solve_size(count, target, multiple_of, start, largest))


def _count(arm: Arm, quantity: str, measures: Measures) -> float:
    try:
        return measures.of(arm, quantity)
    except UserError as error:
        raise UserError(f"arm {arm.name!r} can't run: {error}") from error


def _advice(arm: Arm, knobs: Mapping[str, int], is_fixed: bool, quantity: str) -> str:
    if is_fixed:
        return f"its {quantity} are the same whatever that field; take another size_field"
    if DURATION in knobs:
        return "a step is too much of it; take smaller batches or train for longer"
    if arm.fine_field:
        return "take another fine_field, size_field or multiple_of"
    fine = [name for name in FINE_FIELDS if name in flatten(arm.config) and name not in knobs]
    if fine:
        return f"set the arm's fine_field={fine[0]!r} as well, or another size_field or multiple_of"
    return "take another size_field or multiple_of"


def _check_tokens(tokens: Mapping[str, float], baseline: str) -> None:
    target = tokens[baseline]
    for name, count in tokens.items():
        if abs(count - target) > TOLERANCE * target:
            raise UserError(
                f"arm {name!r} trains on {count:,} tokens and {baseline!r} on {target:,}; "
                "make training.duration, data.batch_size and data.length agree"
            )
