"""From a configuration to a model: the only place that knows the families by name."""

import importlib
from dataclasses import fields

from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.models.contract import LanguageModel

FAMILIES = {
    "ngram": "lmjax.models.ngram:NGramModel",
    "rnn": "lmjax.models.rnn:RecurrentModel",
    "attention_rnn": "lmjax.models.attention_rnn:AttentionRecurrentModel",
    "transformer": "lmjax.models.transformer:Transformer",
}


def model_class(name: str) -> type[LanguageModel]:
    """The class of a family; raises UserError, with the nearest name, if there is none."""
    if name not in FAMILIES:
        raise UserError(f"unknown model {name!r}: {nearest(name, FAMILIES)}")
    module, attribute = FAMILIES[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def build_model(model: ConfigDict, tokenizer) -> LanguageModel:
    """The model that `config.model` describes, for a tokenizer's vocabulary.

    Raises UserError for an unknown family, an unknown field or a value that the family refuses.
    """
    given = {name: value for name, value in model.items() if name != "name"}
    family = model_class(model.name)
    known = {field.name for field in fields(family)} - {"parent", "name", "vocabulary_size"}
    derived = family.derived_fields(tokenizer)
    for field in given:
        if field not in known - set(derived):
            raise UserError(f"model {model.name!r} has no field {field!r}: {nearest(field, known)}")
    return family(vocabulary_size=tokenizer.vocabulary_size, **given, **derived)
