"""Twelve families solved for equal sizes and operations, and operations against XLA's, as tables.

Run by `python -m lmjax.studies.matching_table [FILE]`; it takes some minutes and trains nothing.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ml_collections import ConfigDict

from lmjax.checks.xla_flops import count_row
from lmjax.config import base_config
from lmjax.model_defaults import ENCODER_DECODERS, sections_of
from lmjax.models.flops import Flops
from lmjax.studies.matching import match_study
from lmjax.studies.measures import Measures
from lmjax.studies.study import Arm, Study

SPLIT = {"multiple_of": 8, "fine_field": "model.feed_forward_width"}  # eight heads
LSTM = {"cell": "lstm", "layers": 2}
ATTENTIVE = {"cell": "lstm", "layers": 1, "span": 16}
LAYERS = {"layers": 4, "heads": 8, "context_length": 128}
ENDLESS = {**LAYERS, "position": "none"}
# Model, fields, and how the arm is solved for.
FAMILIES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "Elman": ("rnn", {**LSTM, "cell": "elman"}, {}),
    "GRU": ("rnn", {**LSTM, "cell": "gru"}, {}),
    "LSTM": ("rnn", LSTM, {}),
    "LSTM, tied": ("rnn", {**LSTM, "tied": True}, {}),
    "LSTM, additive attention": ("attention_rnn", {**ATTENTIVE, "score": "additive"}, {}),
    "LSTM, general attention": ("attention_rnn", {**ATTENTIVE, "score": "general"}, {}),
    "LSTM, key-value-predict attention": (
        "attention_rnn",
        {**ATTENTIVE, "score": "key_value_predict"},
        {"multiple_of": 3, "fine_field": "model.embedding_width"},
    ),
    "Transformer": ("transformer", LAYERS, SPLIT),
    "Transformer, gated and untied": (
        "transformer",
        {**LAYERS, "feed_forward": "gated_gelu", "norm": "rms_norm", "tied": False},
        SPLIT,
    ),
    "Sliding window": (
        "transformer",
        {**ENDLESS, "pattern": ("sliding_window",), "mixers": {"sliding_window": {"window": 32}}},
        SPLIT,
    ),
    "Mamba": ("transformer", {**ENDLESS, "pattern": ("mamba",)}, SPLIT),
    "GRU and attention in layers": (
        "transformer",
        {
            **LAYERS,
            "pattern": ("recurrent", "attention"),
            "mixers": {"recurrent": {"cell": "gru"}},
        },
        SPLIT,
    ),
}
WIDTH = 256  # at which operations are compared, where none is given
# Whose operations are held against XLA's, beside the families: model and fields.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    # Of its scan they grow as the width, products as its square.
    "Mamba, as narrow as it is solved for": (
        "transformer",
        {**ENDLESS, "pattern": ("mamba",), "width": 128},
    ),
    "LSTM, dot attention": ("attention_rnn", {**ATTENTIVE, "score": "dot"}),
    "Layers in a scan": ("transformer", {**LAYERS, "scan_layers": True}),
    "Sequence to sequence": ("seq2seq", {}),
    "Sequence to sequence, additive": (
        "seq2seq",
        {"attention": "additive", "bidirectional": True, "bridge": "dense"},
    ),
    "Sequence to sequence, general": ("seq2seq", {"attention": "general", "input_feeding": True}),
    "Encoder-decoder": ("encoder_decoder", {"layers": 2}),
    "Encoder-decoder, T5 1.1": ("encoder_decoder", {"layers": 2, **ENCODER_DECODERS["t5_v1_1"]}),
    "BERT": ("bert", {"layers": 2}),
    "LSTM of both directions": ("bilstm", {}),
    "Classifier": ("classifier", {"backbone": {"layers": 2, "width": WIDTH}}),
    "Word vectors, skip-gram": ("word_vectors", {}),
}
ROW = {"length": 32, "source_length": 16}
SHORT_ROW = {"length": 6, "source_length": 6}  # of models whose loop over time is unrolled


@dataclass(frozen=True)
class Solved:
    """An arm, and how far each of its figures is from what it is matched to."""

    arm: Arm
    figures: Mapping[str, float]
    distances: Mapping[str, float]


def family_study(
    matched: tuple[str, ...], target: float | None, data: Mapping[str, Any], names: Sequence[str]
) -> Study:
    """A study of families, of which LSTM is the baseline."""
    arms = []
    for name in names:
        model, fields, solving = FAMILIES[name]
        config = base_config(model)
        config.model.update(fields)
        config.data.update({"batching": "windows", "batch_size": 8, "length": 128, **data})
        config.training.duration = "2000 steps"
        arms.append(Arm(name, config, **solving))
    return Study(
        name="families",
        question="Are they equal?",
        arms=tuple(arms),
        baseline="LSTM",
        matched=matched,
        target=target,
    )


def solve(study: Study) -> list[Solved]:
    """The arms of a study, matched."""
    measures = Measures()
    arms = match_study(study, measures).arms
    goals = {
        quantity: study.target
        if study.target and quantity == study.target_of
        else next(measures.of(arm, quantity) for arm in arms if arm.name == study.baseline)
        for quantity in study.matched
    }
    solved = []
    for arm in arms:
        figures = {quantity: measures.of(arm, quantity) for quantity in study.matched}
        distances = {name: figures[name] / goal - 1 for name, goal in goals.items()}
        solved.append(Solved(arm, figures, distances))
    return solved


def operation_cases() -> Iterator[tuple[str, ConfigDict]]:
    """The models whose operations are held against XLA's, by name."""
    named = {name: (model, fields) for name, (model, fields, _) in FAMILIES.items()}
    for name, (model, fields) in {**named, **OTHERS}.items():
        config = base_config(model)
        config.model.update(({"width": WIDTH} if "width" in config.model else {}) | fields)
        if fields.get("score") == "key_value_predict":
            config.model.width -= config.model.width % 3
        unrolled = "rnn" in model or "recurrent" in fields.get("pattern", ())
        unrolled = unrolled or model in ("bilstm", "seq2seq")
        config.data.update(SHORT_ROW if unrolled else ROW)
        yield name, config


def count_operations(config: ConfigDict, vocabulary_size: int = 512) -> tuple[Flops, float]:
    """Ours and XLA's of one training row."""
    specials = {"class": vocabulary_size - 1, "mask": vocabulary_size - 2}
    tokenizer = SimpleNamespace(
        vocabulary_size=vocabulary_size,
        end_id=None,
        start_id=0,
        special_id=specials.get,
        unknown_id=None,
        special_ids={},
        word_goes_on=lambda: (b"", b""),
    )
    tokenizer.source = tokenizer.target = tokenizer
    return count_row(config, tokenizer)


def solved_table(study: Study) -> str:
    """What the arms of a study come to, in Markdown."""
    names = [quantity.replace("_", " ").replace("flops", "FLOPs") for quantity in study.matched]
    columns = ["family", "solved for", *(cell for name in names for cell in (name, "off by"))]
    lines = [_line(columns), _line(["---"] * 2 + ["---:"] * (2 * len(names)))]
    for solved in solve(study):
        config, arm = solved.arm.config, solved.arm
        values = [f"width {config.model.width}"]
        if fine := config.model.get(arm.fine_field.removeprefix("model."), 0):
            values.append(f"{arm.fine_field.removeprefix('model.')} {fine}")
        if "training_flops" in study.matched and "training_tokens" not in study.matched:
            values.append(config.training.duration)
        cells = [arm.name, ", ".join(values)]
        for quantity, figure in solved.figures.items():
            short = f"{figure:.4g}" if quantity == "training_flops" else f"{figure:,.0f}"
            cells += [short, f"{solved.distances[quantity]:+.2%}"]
        lines.append(_line(cells))
    return "\n".join(lines)


def operations_table() -> str:
    """Ours and XLA's count of each model's training row, in Markdown."""
    columns = ["model", "width", "tokens", "products", "element-wise", "XLA's", "XLA's / ours"]
    lines = [_line(columns), _line(["---"] + ["---:"] * 6)]
    for name, config in operation_cases():
        ours, xla = count_operations(config)
        both = ours.counted + ours.elementwise
        *_, model = sections_of(config.model).values()
        figures = model.width, config.data.length, ours.counted, ours.elementwise, round(xla)
        lines.append(_line([name, *(f"{figure:,}" for figure in figures), f"{xla / both:.3f}"]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


PAGE = """# Equal sizes and equal operations

`python -m lmjax.studies.matching_table experiments/results/matching.md` wrote this page; nothing
was trained. Texts are of bytes (256 tokens), rows of 128 tokens, batches of 8, and 2,000 steps
where no other number is given. Recurrent networks have two layers, or one beneath attention over
its last 16 outputs; the others have four, of eight heads. Every figure is counted from shapes
alone; FLOPs are those of matrix products and convolutions and those done element by element,
forward and backward. A study tolerates 1 %.

## Parameters, and training FLOPs by the duration

`matched=("parameters", "training_flops")`, with a target of a million parameters:

{million}

With a target of ten million:

{ten_millions}

## Training FLOPs by the size, at equal tokens

`matched=("training_flops", "training_tokens")`, to the LSTM of 256 units a layer:

{operations}

## Counted operations against XLA's

Of one training row, forward and backward, with 512 tokens in the vocabulary: our count of products
and of element-wise operations, from what JAX traced, and XLA's `cost_analysis()` of the same before
it fuses operations. XLA counts the body of a loop once, so loops over time and layers are unrolled
for it. It counts selections and comparisons, which are no arithmetic to us, and leaves exponentials
and the like out, which are one operation each to us. What it has fused for a CPU computes anew what
is read more than once: of narrow Mambas that comes to a quarter more, and is the compiler's own.

{xla}
"""


def main(file: str) -> None:
    """Writes the page."""
    million, ten_millions = (
        solved_table(family_study(("parameters", "training_flops"), size, {}, list(FAMILIES)))
        for size in (1e6, 1e7)
    )
    equal = family_study(("training_flops", "training_tokens"), None, {}, list(FAMILIES))
    page = PAGE.format(
        million=million,
        ten_millions=ten_millions,
        operations=solved_table(equal),
        xla=operations_table(),
    )
    Path(file).write_text(page)


if __name__ == "__main__":
    main(*sys.argv[1:])
