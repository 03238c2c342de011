"""The recipe of the ablations: a small model of each family, on the characters of Shakespeare.

Question  How far apart are runs of one recipe that differ in their seed alone?
Command   lmjax study --study=experiments/ablations/base.py --workdir=runs/ablations
          lmjax train --config=experiments/ablations/base.py:gru --workdir=runs/gru
Hardware  one CPU core, half a minute a run.
Expected  no published number to meet.

The variants of the configuration are the families; `:gru,smoke` takes some steps of one. The other
files of this folder begin with these configurations, and have these seeds and this tuning. Scores
are of validation, which chooses the learning rate too: this corpus has no test split.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants
from lmjax.errors import UserError, nearest
from lmjax.studies.study import DURATION, Arm, Study, Tuning

# The scale of the initial weights is a family's own, as in experiments/quickstart.py.
RECURRENT = {"layers": 1, "width": 128, "tied": True, "initialization": 0.3}
LSTM = {**RECURRENT, "cell": "lstm", "forget_bias": 1.0}
BLOCKS = {"layers": 2, "width": 72, "heads": 4, "initialization": 0.1}
TRANSFORMER = {**BLOCKS, "context_length": 128}
ENDLESS = {**BLOCKS, "position": "none"}  # its mixers carry their memory over any text
# Family: its model and the fields of it.
FAMILIES = {
    "lstm": ("rnn", LSTM),
    "gru": ("rnn", {**RECURRENT, "cell": "gru"}),
    # From wider draws its states wander off, and scores with them.
    "elman": ("rnn", {**RECURRENT, "cell": "elman", "initialization": 0.1}),
    "attention_lstm": ("attention_rnn", {**LSTM, "score": "general", "span": 16}),
    "transformer": ("transformer", TRANSFORMER),
    # It needs positions: without them, a window that is full has no order.
    "sliding_window": (
        "transformer",
        {
            **TRANSFORMER,
            "pattern": ("sliding_window",),
            "mixers": {"sliding_window": {"window": 32}},
        },
    ),
    "mamba": ("transformer", {**ENDLESS, "pattern": ("mamba",)}),
    "recurrent": (
        "transformer",
        {**ENDLESS, "pattern": ("recurrent",), "mixers": {"recurrent": {"forget_bias": 1.0}}},
    ),
    "ngram": ("ngram", {}),
}
SMOKE = {
    DURATION: "100 steps",
    "evaluation.every": "100 percent",
    "logging.every": "10 percent",
}
VARIANTS = {"smoke": SMOKE, **dict.fromkeys(FAMILIES, {})}
SEEDS = (0, 1, 2)
# Wide enough that no family of families.py chooses an end of it.
TUNING = Tuning({"training.learning_rate": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)}, budget="20 percent")


def get_config(arg: str = "") -> ConfigDict:
    """The recipe for a family, LSTM if none is named; raises UserError for another `arg`."""
    family = next((name for name in arg.split(",") if name in FAMILIES), "lstm")
    model, fields = FAMILIES[family]
    config = base_config(model)
    config.model.update(fields)
    config.data.update(
        corpus="tiny_shakespeare",
        tokenizer="character",
        batching="stream",
        batch_size=8,
        length=64,
    )
    config.training.update(
        duration="2 epochs",
        learning_rate=1e-2,
        warmup="5 percent",
        weight_decay=0.01,
        clip_norm=1.0,
    )
    config.logging.every = "10 percent"
    config.evaluation.update(every="25 percent", context="carried", rows=16)
    config.checkpoint.every = "50 percent"
    if family in ("transformer", "sliding_window"):
        # Their positions end, so that they can't carry their memory over a text: they read windows.
        config.data.update(batching="windows", batch_size=4, length=128)
        config.evaluation.update(context="windowed", window=128, stride=64)
    return with_variants(config, arg, VARIANTS)


def get_study(arg: str = "") -> Study:
    """The LSTM alone."""
    return make_study(
        "base",
        arg,
        question="How far apart are runs of one recipe that differ in their seed alone?",
        arms=(make_arm("LSTM", "lstm"),),
        baseline="LSTM",
    )


def make_arm(name: str, family: str, fields: Mapping[str, Any] | None = None, **others: Any) -> Arm:
    """An arm of a family with some fields changed; `others` are other fields of an Arm.

    Unless they say so, it is sized by its width, or its feed-forward network's if it has one.
    """
    config = get_config(family)
    feeds = "feed_forward_width" in config.model
    size_field = "model.feed_forward_width" if feeds else "model.width"
    return Arm(name, config, **{"size_field": size_field, **others}).with_fields(fields or {})


def make_study(
    name: str, arg: str, variants: Mapping[str, Mapping[str, Any]] | None = None, **fields: Any
) -> Study:
    """A study with the seeds and the tuning that all have; `fields` are other fields of a Study.

    `arg` names variants, with commas between: those given, of which each is fields to change, and
    `smoke`, in which each arm takes some steps, with one seed (of each fold, where there are any)
    and one trial. Raises UserError for an unknown one.
    """
    variants = {"smoke": {}, **(variants or {})}
    names = [part for part in arg.split(",") if part]
    for part in names:
        if part not in variants:
            raise UserError(f"{name} has no variant {part!r}: {nearest(part, variants)}")
        fields |= variants[part]
    study = Study(
        name="-".join([name, *names]),
        **{"seeds": SEEDS, "tuning": TUNING, "prompt": "ROMEO:", **fields},
    )
    if "smoke" not in names:
        return study
    space = {field: values[:1] for field, values in study.tuning.space.items()}
    # What scales is trained for what its budgets come to.
    short = {
        field: value for field, value in SMOKE.items() if field != DURATION or not study.scaling
    }
    return replace(
        study,
        arms=tuple(arm.with_fields(short) for arm in study.arms),
        seeds=study.seeds[: study.folds or 1],
        tuning=replace(study.tuning, space=space),
    )
