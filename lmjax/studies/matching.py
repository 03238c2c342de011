"""Makes the arms of a study equal: their sizes are solved for, their training tokens checked."""

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp

from lmjax.data.dataset import Dataset, open_dataset
from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError
from lmjax.models.cost import count_parameters
from lmjax.models.registry import build_model, model_class
from lmjax.objectives.registry import make_objective
from lmjax.studies.study import SIZES, TOLERANCE, Arm, Study, flatten
from lmjax.training.durations import Clock

LARGEST_SIZE = 1 << 20


def is_counted(arm: Arm) -> bool:
    """Whether the arm's model is counted, not descended; it then states its own size."""
    return model_class(arm.config.model.name).is_counted


def model_size(arm: Arm, tokenizer: Tokenizer, quantity: str) -> int:
    """`parameters` or `non_embedding_parameters` of an arm's model, without allocating any."""
    model = build_model(arm.config.model, tokenizer)
    tokens_BT = jax.ShapeDtypeStruct((1, 1), jnp.int32)
    variables = jax.eval_shape(model.init, jax.random.key(0), tokens_BT)
    return count_parameters(variables)[SIZES.index(quantity)]


def solve_size(
    count: Callable[[int], int], target: int, multiple_of: int = 1, start: int = 1
) -> int:
    """The multiple of `multiple_of` whose `count`, which grows with it, is nearest to `target`.

    The search begins at `start` and asks for few counts if they grow like a square.
    """

    @functools.cache
    def root(units: int) -> float:
        return math.sqrt(count(units * multiple_of))

    goal = math.sqrt(target)
    low = high = max(1, start // multiple_of)
    while low > 1 and root(low) > goal:
        low, high = low // 2, low
    while root(high) < goal and high < LARGEST_SIZE:
        low, high = high, 2 * high
    while high - low > 1:
        share = (goal - root(low)) / (root(high) - root(low))
        middle = min(max(round(low + share * (high - low)), low + 1), high - 1)
        low, high = (middle, high) if root(middle) < goal else (low, middle)
    return multiple_of * min(low, high, key=lambda units: abs(root(units) ** 2 - target))


def match_study(study: Study) -> Study:
    """The study with every gradient-trained arm's size field set to match the baseline arm.

    Raises UserError if an arm can't come within TOLERANCE of the baseline's size, or if training
    tokens are to be equal and are not. Counted arms are left as they are.
    """
    trained = [arm for arm in study.arms if not is_counted(arm)]
    if not trained or not study.matched:
        return study
    baseline = next(arm for arm in study.arms if arm.name == study.baseline)
    if baseline not in trained:
        raise UserError(
            f"the baseline {study.baseline!r} is counted and has no size to match; "
            f"take one that is trained: {', '.join(arm.name for arm in trained)}"
        )
    datasets = {}

    def dataset(arm: Arm) -> Dataset:
        key = arm.config.data.to_json()
        if key not in datasets:
            datasets[key] = open_dataset(arm.config.data)
        return datasets[key]

    def count(arm: Arm) -> int:
        return model_size(arm, dataset(arm).tokenizer, size)

    if "training_tokens" in study.matched:
        _check_tokens({arm.name: training_tokens(arm, dataset(arm)) for arm in trained}, baseline)
    size = next((size for size in SIZES if size in study.matched), None)
    if size is None:
        return study
    target = count(baseline)
    arms = tuple(_match(arm, count, target) if arm in trained else arm for arm in study.arms)
    return replace(study, arms=arms)


def training_tokens(arm: Arm, dataset: Dataset) -> int:
    """How many tokens the training of an arm reads."""
    objective = make_objective(arm.config.objective, dataset.tokenizer)
    batching = objective.batching(dataset.splits["train"], arm.config.data, arm.config.seed)
    clock = Clock(batching.steps_per_epoch, batching.tokens_per_step)
    return clock.steps(arm.config.training.duration) * clock.tokens_per_step


def _match(arm: Arm, count: Callable[[Arm], int], target: int) -> Arm:
    def fits(arm: Arm) -> bool:
        return abs(count(arm) - target) <= TOLERANCE * target

    def sized(value: int) -> Arm:
        return arm.with_fields({arm.size_field: value})

    matched = arm
    if not fits(arm):
        start = flatten(arm.config).get(arm.size_field, 1)
        value = solve_size(lambda value: count(sized(value)), target, arm.multiple_of, start)
        matched = sized(value)
    for candidate in matched.candidates().values():
        if not fits(candidate):
            raise UserError(
                f"arm {arm.name!r} can't match {target:,} parameters within {TOLERANCE:.0%}: at "
                f"best it has {count(candidate):,}; take another size_field or multiple_of"
            )
    return matched


def _check_tokens(tokens: dict[str, int], baseline: Arm) -> None:
    target = tokens[baseline.name]
    for name, count in tokens.items():
        if abs(count - target) > TOLERANCE * target:
            raise UserError(
                f"arm {name!r} trains on {count:,} tokens and {baseline.name!r} on {target:,}; "
                "make training.duration, data.batch_size and data.length agree"
            )
