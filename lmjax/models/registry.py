"""From a configuration to a model: the only place that knows the families by name."""

import importlib
from dataclasses import fields

from ml_collections import ConfigDict

from lmjax.data.cache import build_once, cache_directory
from lmjax.errors import UserError, nearest
from lmjax.model_defaults import BACKBONE
from lmjax.models.contract import LanguageModel
from lmjax.nn.output_registry import check_ids
from lmjax.own_models import (
    SOURCE,
    configured_defaults,
    is_own,
    meant_digest,
    own_class,
    was_given,
)
from lmjax.runs.fields import check_fields, expected_like

FAMILIES = {
    "ngram": "lmjax.models.ngram:NGramModel",
    "rnn": "lmjax.models.rnn:RecurrentModel",
    "awd_rnn": "lmjax.models.awd_rnn:AWDRecurrentModel",
    "attention_rnn": "lmjax.models.attention_rnn:AttentionRecurrentModel",
    "seq2seq": "lmjax.models.seq2seq:Seq2SeqModel",
    "encoder_decoder": "lmjax.models.encoder_decoder:EncoderDecoder",
    "bag_of_ngrams": "lmjax.models.bag_of_ngrams:BagOfNGrams",
    "classifier": "lmjax.models.classifier:Classifier",
    "span_finder": "lmjax.models.span_finder:SpanFinder",
    "bilstm": "lmjax.models.bilstm:BidirectionalRecurrentModel",
    "bert": "lmjax.models.bert:Bert",
    "transformer": "lmjax.models.transformer:Transformer",
    "word_vectors": "lmjax.models.word_vectors:WordVectorModel",
}


def model_class(name: str, source: str | None = None) -> type[LanguageModel]:
    """The class of a family, or that of `FILE.py:Class` or `module:Class`.

    `source` is the SHA-256 of the file that is meant; None: as it is now. Raises UserError, with
    the nearest name, if there is no such family; for a class outside the package also if its code
    cannot be run, or is known from a run's configuration alone: whoever wrote that may have written
    the code, so it is executed only if it was named as a model on this machine before. A file is
    then known by its content, a module by its name.
    """
    if is_own(name):
        digest = meant_digest(name, source)
        _check_given(name, digest)
        return own_class(name, digest)
    if name not in FAMILIES:
        raise UserError(f"unknown model {name!r}: {nearest(name, FAMILIES)}")
    module, attribute = FAMILIES[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def build_model(model: ConfigDict, tokenizer) -> LanguageModel:
    """The model that `config.model` describes, for a tokenizer's vocabulary.

    Its backbone, if it has one, is for that of the sources. Raises UserError for an unknown family,
    an unknown field or a value that the family refuses.
    """
    given = {name: value for name, value in model.items() if name not in ("name", SOURCE)}
    family = model_class(model.name, model.get(SOURCE))
    known = {field.name for field in fields(family)} - {"parent", "name", "vocabulary_size"}
    derived = family.derived_fields(tokenizer)
    for field in given:
        if field not in known - set(derived):
            raise UserError(f"model {model.name!r} has no field {field!r}: {nearest(field, known)}")
    if isinstance(given.get(BACKBONE), ConfigDict):
        try:
            given[BACKBONE] = build_model(given[BACKBONE], tokenizer.source)
        except UserError as error:
            raise UserError(f"of model.{BACKBONE}: {error}") from error
    if is_own(model.name):
        defaults = configured_defaults(family)
        expected = {name: expected_like(defaults[name]) for name in given if name in defaults}
        check_fields(given, expected, model.name, cure="give such a value")
    model = family(vocabulary_size=tokenizer.vocabulary_size, **given, **derived)
    if output := given.get("output"):
        check_ids(output, getattr(tokenizer, "ids_by_frequency", False))
    return model


def _check_given(name: str, digest: str) -> None:
    note = cache_directory() / "own_models" / digest
    if was_given(digest):
        build_once(note, lambda folder: (folder / "name").write_text(name))
    elif not note.exists():
        raise UserError(
            f"this needs the class {name}, code that was never given as a model on this machine; "
            f"read it and, if you would run it, say so once: lmjax doctor model {name}"
        )
