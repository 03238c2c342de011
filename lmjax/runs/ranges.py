"""Which values the fields of a configuration may have, and which fields have no effect in it."""

from collections.abc import Callable
from functools import reduce
from typing import Any

from ml_collections import ConfigDict

from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.model_defaults import sections_of
from lmjax.own_models import is_own

Range = tuple[Callable[[Any], bool], str]

# Seeds that differ beyond 32 bits would be one run.
MOST_SEED = (1 << 32) - 1
SEED: Range = (lambda value: 0 <= value <= MOST_SEED, f"from 0 to {MOST_SEED}")
FROM_ONE: Range = (lambda value: value >= 1, "at least 1")
POSITIVE: Range = (lambda value: value > 0, "above 0")
FRACTION: Range = (lambda value: 0 <= value < 1, "at least 0 and below 1")

RANGES: dict[str, Range] = {
    "seed": SEED,
    "data.batch_size": FROM_ONE,
    "data.length": FROM_ONE,
    "data.read_threads": FROM_ONE,
    "data.source_length": FROM_ONE,
    "training.accumulation_steps": FROM_ONE,
    "training.beta1": FRACTION,
    "training.beta2": FRACTION,
    "training.decay_factor": POSITIVE,
    "training.epsilon": POSITIVE,
    "training.layer_decay": POSITIVE,
    "training.momentum": FRACTION,
    "evaluation.rows": FROM_ONE,
    "checkpoint.keep": FROM_ONE,
}
OF_FAMILIES: dict[str, Range] = {
    "model.context_length": FROM_ONE,
    "model.dropout": FRACTION,
    "model.heads": FROM_ONE,
    "model.layers": FROM_ONE,
    "model.order": FROM_ONE,
    "model.span": FROM_ONE,
    "model.width": FROM_ONE,
}

# Field -> the field that it depends on, and with which values of that it has an effect.
EFFECTIVE: dict[str, tuple[str, tuple[str, ...]]] = {
    "data.files": ("data.corpus", ("text", "parallel", "labelled", "questions")),
    "data.validation_files": ("data.corpus", ("labelled",)),
    "data.test_files": ("data.corpus", ("labelled",)),
    "data.text_column": ("data.corpus", ("labelled",)),
    "data.second_column": ("data.corpus", ("labelled",)),
    "data.label_column": ("data.corpus", ("labelled",)),
    "data.faulty_rows": ("data.corpus", ("labelled",)),
    "data.source_files": ("data.corpus", ("parallel",)),
    "data.direction": ("data.corpus", ("multi30k", "fra_eng")),
    "data.source_length": ("data.batching", ("documents",)),
    "data.source_overlap": ("data.tokenizer", ("span", "file")),
    "data.resets": ("data.batching", ("stream",)),
    "data.examples": ("data.batching", ("examples",)),
    "data.task": ("data.corpus", ("synthetic",)),
    "data.tokenizer_lowercase": ("data.tokenizer", ("file",)),
    "data.vocabulary_size": ("data.tokenizer", ("word", "bpe")),
    "training.averaging_patience": ("training.averaging", ("triggered",)),
    "training.beta1": ("training.optimizer", ("adamw",)),
    "training.beta2": ("training.optimizer", ("adamw",)),
    "training.epsilon": ("training.optimizer", ("adamw", "adagrad")),
    "training.momentum": ("training.optimizer", ("sgd",)),
    "training.decay_after": ("training.schedule", ("epoch_decay",)),
    "training.decay_factor": ("training.schedule", ("epoch_decay", "plateau")),
    "training.final_learning_rate": ("training.schedule", ("linear", "cosine")),
    "evaluation.overlap": ("evaluation.context", ("carried",)),
    "evaluation.rows": ("evaluation.context", ("carried",)),
    "evaluation.stride": ("evaluation.context", ("windowed",)),
    "evaluation.window": ("evaluation.context", ("windowed",)),
    "execution.rules": ("execution.mode", ("jit",)),
}


def check_ranges(config: ConfigDict) -> None:
    """Raises UserError, naming the field, for a number that is out of its field's range.

    And for lengths that are to vary, as those of a stream alone can.
    """
    of_models = {
        name.replace("model", section, 1): limits
        for section, model in sections_of(config.model).items()
        for name, limits in ({} if is_own(model.name) else OF_FAMILIES).items()
    }
    for name, (accepts, words) in {**RANGES, **of_models}.items():
        value = _find(config, name)
        if value is not None and not accepts(value):
            raise UserError(f"{name} is {value}; it is {words}")
    deviation, batching = _find(config, "data.length_deviation"), _find(config, "data.batching")
    if deviation and batching != "stream":
        raise UserError(
            f"data.length_deviation is {deviation}, and rows of data.batching {batching!r} have "
            "lengths of their own; set data.batching='stream' or data.length_deviation=0"
        )


def without_effect(config: ConfigDict, is_counted: bool = False) -> list[str]:
    """A sentence on each field that was changed from its default and has no effect.

    On those of `training`, all in one, for a model that `is_counted`.
    """
    defaults = base_config()
    lines = [
        f"{name} is {_find(config, name)}, which has no effect while {other} is "
        f"{_find(config, other)!r}"
        for name, (other, values) in EFFECTIVE.items()
        if _find(config, name) not in (None, _find(defaults, name))
        and _find(config, other) not in values
        and not (is_counted and name.startswith("training."))
    ]
    if is_counted:
        changed = [
            f"training.{name}"
            for name, value in config.training.items()
            if value != defaults.training.get(name)
        ]
        if changed:
            lines.append(f"{', '.join(changed)}: without effect, since the model is counted")
    return lines


def beyond_training(config: ConfigDict, is_counted: bool) -> list[str]:
    """A sentence if evaluation carries a state further than training does."""
    data, carried = config.data, config.evaluation.context == "carried"
    if is_counted or not carried or data.batching not in ("windows", "random_windows"):
        return []
    return [
        f"data.batching is {data.batching!r}, so training carries no state beyond data.length "
        f"{data.length}, but evaluation.context 'carried' does"
    ]


def _find(config: ConfigDict, name: str) -> Any:
    """The value of a field; None if the configuration does not have it."""
    *above, field = name.split(".")
    return reduce(lambda level, section: level.get(section, {}), above, config).get(field)
