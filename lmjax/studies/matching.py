"""Makes the arms of a study equal: a field of each is solved for, and what is not is checked."""

from collections.abc import Mapping
from dataclasses import replace

from lmjax.errors import UserError
from lmjax.studies.measures import Measures, is_counted
from lmjax.studies.solving import LARGEST_SIZE, solve_size
from lmjax.studies.study import DURATION, SIZES, TOLERANCE, Arm, Study, flatten
from lmjax.training.durations import MOST_STEPS

FINE_FIELDS = (  # what an error advises
    "model.feed_forward_width",
    "model.embedding_width",
    "model.backbone.feed_forward_width",
    "model.backbone.embedding_width",
)


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
    def fits(arm: Arm) -> bool:
        return abs(_count(arm, quantity, measures) - target) <= TOLERANCE * target

    matched, solved = arm, []
    knobs = {field: 1} if field else {arm.size_field: arm.multiple_of, arm.fine_field: 1}
    for knob, multiple_of in knobs.items():
        # A size that is no such multiple may be none that the model can have.
        off = multiple_of > 1 and flatten(arm.config).get(knob, 0) % multiple_of
        if knob and (off or not fits(matched)):
            matched = _solve(matched, quantity, target, knob, multiple_of, measures)
            solved.append(f"{knob} {flatten(matched.config)[knob]}")
    for choice, candidate in matched.candidates().items():
        if not fits(candidate):
            best = _count(candidate, quantity, measures)
            of_which = ", ".join([f" with {choice}"] * bool(choice) + [f" at {s}" for s in solved])
            raise UserError(
                f"arm {arm.name!r} can't match {target:,.0f} {_spoken(quantity)} within "
                f"{TOLERANCE:.0%}: at best it has {best:,.0f} ({best / target - 1:+.1%}),"
                f"{of_which}; {_advice(matched, knobs)}"
            )
    return matched


def _solve(
    arm: Arm, quantity: str, target: float, field: str, multiple_of: int, measures: Measures
) -> Arm:
    """The arm with the integer of `field`, steps for the duration, that comes nearest to target."""
    by_duration = field == DURATION

    def sized(value: int) -> Arm:
        return arm.with_fields({field: f"{value} steps" if by_duration else value})

    counts = {}

    def count(value: int) -> float:
        try:
            counts[value] = _count(sized(value), quantity, measures)
            return counts[value]
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
    value = solve_size(count, target, multiple_of, start, largest)
    if len(counts) > 1 and len(set(counts.values())) == 1 and counts[value] != target:
        raise UserError(
            f"arm {arm.name!r} can't match {target:,.0f} {_spoken(quantity)} by {field}: they are "
            f"{counts[value]:,.0f} whatever it is; take another field"
        )
    return sized(value)


def _advice(arm: Arm, knobs: Mapping[str, int]) -> str:
    if DURATION in knobs:
        return "a step is too much of it; take smaller batches or train for longer"
    if arm.fine_field:
        return "take another fine_field, size_field or multiple_of"
    fine = [name for name in FINE_FIELDS if name in flatten(arm.config) and name not in knobs]
    if fine:
        return f"set the arm's fine_field={fine[0]!r} as well, or another size_field or multiple_of"
    return "take another size_field or multiple_of"


def _spoken(quantity: str) -> str:
    return quantity.replace("_", " ").replace("flops", "FLOPs")


def _count(arm: Arm, quantity: str, measures: Measures) -> float:
    try:
        return measures.of(arm, quantity)
    except UserError as error:
        raise UserError(f"arm {arm.name!r} can't run: {error}") from error


def _check_tokens(tokens: Mapping[str, float], baseline: str) -> None:
    target = tokens[baseline]
    for name, count in tokens.items():
        if abs(count - target) > TOLERANCE * target:
            raise UserError(
                f"arm {name!r} trains on {count:,} tokens and {baseline!r} on {target:,}; "
                "make training.duration, data.batch_size and data.length agree"
            )
