"""From `config.objective` to the objective, by name."""

import importlib
from dataclasses import fields

from ml_collections import ConfigDict

from lmjax.data.streams import TokenStream
from lmjax.errors import UserError, nearest
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective

OBJECTIVES = {
    "causal": "lmjax.objectives.causal:Causal",
    "classification": "lmjax.objectives.classification:Classification",
    "regression": "lmjax.objectives.regression:Regression",
    "span": "lmjax.objectives.span:Span",
    "answers": "lmjax.objectives.answers:Answers",
    "span_corruption": "lmjax.objectives.span_corruption:SpanCorruption",
    "both_directions": "lmjax.objectives.both_directions:BothDirections",
    "masked": "lmjax.objectives.masked:Masked",
    "prefix": "lmjax.objectives.prefix:Prefix",
    "seq2seq": "lmjax.objectives.seq2seq:SequenceToSequence",
    "skip_gram": "lmjax.objectives.skip_gram:SkipGram",
    "cbow": "lmjax.objectives.cbow:ContinuousBagOfWords",
    "glove": "lmjax.objectives.glove:GloVe",
}
READS = {  # what a model reads, in words
    "past": "reads the tokens before each target alone",
    "source": "reads a source, then the tokens before each target",
    "both": "reads the tokens on both sides of each target",
    "words": "holds vectors of words, and reads one word",
    "each_side": "reads the tokens before each target and, apart from them, those after it",
}


def objective_class(name: str) -> type[Objective]:
    """The objective of that name; raises UserError, with the nearest name, if there is none."""
    if name not in OBJECTIVES:
        raise UserError(f"unknown objective.name {name!r}: {nearest(name, OBJECTIVES)}")
    module, attribute = OBJECTIVES[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def make_objective(objective: ConfigDict, tokenizer) -> Objective:
    """The objective that `config.objective` describes.

    Raises UserError for an unknown name, field or value, and for a tokenizer that lacks a special
    token which it needs.
    """
    kind = objective_class(objective.name)
    derived = kind.derived_fields(tokenizer)
    known = {field.name for field in fields(kind)} - set(derived)
    given = {name: value for name, value in objective.items() if name != "name"}
    for field in given:
        if field not in known:
            raise UserError(
                f"objective {objective.name!r} has no field {field!r}: {nearest(field, known)}"
            )
    return kind(**given, **derived)


def check_objective(config: ConfigDict, objective: Objective, model: LanguageModel) -> None:
    """Raises UserError if the objective can't train the model."""
    if model.is_counted and objective.needs_source and model.reads != "source":
        raise UserError(
            f"model {config.model.name!r} is counted on texts alone, so objective "
            f"{config.objective.name!r} would give it no source; choose another model"
        )
    if getattr(model, "finds_spans", False) and config.objective.name != "span":
        raise UserError(
            f"objective {config.objective.name!r} predicts no places of answers, and model "
            f"{config.model.name!r} tells nothing else; set objective.name='span' or, for labels "
            "and numbers, model.name='classifier'"
        )
    if model.reads in objective.serves:
        objective.check(config.data, model)
        return
    others = [name for name in OBJECTIVES if model.reads in objective_class(name).serves]
    raise UserError(
        f"objective {config.objective.name!r} can't train model {config.model.name!r}, which "
        f"{READS[model.reads]}; set objective.name to {' or '.join(map(repr, others))}, or choose "
        "another model"
    )


def check_translates(
    config: ConfigDict, objective: Objective, verb: str = "translate", corpus: str = "multi30k"
) -> None:
    """Raises UserError if models trained by the objective don't write a target to a source.

    It says that they can't do the `verb`, and names a `corpus` of which they learn it.
    """
    if not objective.translates:
        others = [name for name in OBJECTIVES if objective_class(name).translates]
        raise UserError(
            f"this model can't {verb}: objective {config.objective.name!r} writes no target to a "
            f"source; train one by objective.name {' or '.join(map(repr, others))} on a corpus of "
            f"pairs, such as {corpus!r}"
        )


def check_batches(config: ConfigDict, objective: Objective, stream: TokenStream) -> None:
    """Raises UserError if the documents lack a source, or batches are none for the objective."""
    name = config.objective.name
    if objective.needs_source and stream.source is None:
        raise UserError(
            f"objective {name!r} needs documents that have a source, and those of data.corpus "
            f"{config.data.corpus!r} have none; choose a corpus of pairs, such as 'multi30k'"
        )
    if config.data.batching not in objective.batchings:
        raise UserError(
            f"objective {name!r} can't be trained with data.batching {config.data.batching!r}; set "
            f"it to {' or '.join(map(repr, objective.batchings))}"
        )
