"""The config.json of another ecosystem, read field by field so that none is passed over unseen."""

from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.runs.fields import check_fields, is_count

MOST = 2_000_000  # of a size

# What changes no hidden state and no logits: versions, dtypes, ids of tokens, defaults of decoding,
# and what is used in training or by heads of tasks alone.
WITHOUT_EFFECT = {
    "_name_or_path",
    "activation_dropout",
    "architectures",
    "attention_dropout",
    "bad_words_ids",
    "bos_token_id",
    "classifier_dropout",
    "decoder_layerdrop",
    "dtype",
    "early_stopping",
    "encoder_layerdrop",
    "eos_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "label2id",
    "length_penalty",
    "max_length",
    "model_type",
    "num_beams",
    "pad_token_id",
    "return_dict",
    "sep_token_id",
    "task_specific_params",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}


def is_size(value: Any) -> bool:
    return is_count(value) and value <= MOST


class Settings:
    """Their fields; reading one marks it as seen. Raises UserError for values that we lack."""

    def __init__(self, fields: Mapping[str, Any], source: object):
        self._fields, self._source, self._seen = fields, source, set()

    def take(self, name: str, expected: Callable[[Any], bool], *default: Any) -> Any:
        """The field's value; the default, where one is given, if it is missing or null."""
        self._seen.add(name)
        value = self._fields.get(name)
        if value is None and default:
            return default[0]
        check_fields(value, expected, self._source, name, cure="give such a value")
        return value

    def choose(self, name: str, choices: Mapping[Any, Any], *default: Any) -> Any:
        """Ours for their value, out of a table."""
        value = self.take(name, lambda value: True, *default)
        if not isinstance(value, str | bool | int | float) or value not in choices:
            known = nearest(str(value)[:40], map(str, choices))
            raise UserError(f"{self._source}: {name} {str(value)[:40]!r} is none of ours: {known}")
        return choices[value]

    def require(self, name: str, value: Any, default: Any) -> None:
        """Refuses all values but one: `default` is theirs where the field is missing."""
        found = self.take(name, lambda value: True, default)
        if found != value:
            raise UserError(
                f"{self._source}: {name} is {str(found)[:40]!r}, and only {value!r} can be "
                "imported; choose weights that were trained with that"
            )

    def equal(self, names: tuple[str, ...], expected: Callable[[Any], bool], default: Any) -> Any:
        """The value that all of several fields have; ours are one."""
        values = {name: self.take(name, expected, default) for name in names}
        if len(set(values.values())) > 1:
            told = ", ".join(f"{name} {value}" for name, value in values.items())
            raise UserError(
                f"{self._source}: {told}, where our model has one value; make them equal"
            )
        return values[names[0]]

    @property
    def unread(self) -> list[str]:
        """The fields that nothing was made of, and that may have an effect."""
        return sorted(self._fields.keys() - self._seen - WITHOUT_EFFECT)


def check_fixed(model: ConfigDict, fixed: Mapping[str, Any], name: str) -> None:
    """Raises UserError for a field of `config.model` that all of theirs have otherwise."""
    for field, value in fixed.items():
        if model[field] != value:
            raise UserError(
                f"model.{field} is {model[field]!r}, and a {name} has {value!r}; it can't be "
                "exported as one"
            )


def their_name(choices: Mapping[str, str], model: ConfigDict, field: str, name: str) -> str:
    """The first of their values that stands for ours, by the table that `choose` reads them by.

    Raises UserError if none does.
    """
    for theirs, ours in choices.items():
        if ours == model[field]:
            return theirs
    known = " or ".join(map(repr, dict.fromkeys(choices.values())))
    raise UserError(
        f"model.{field} is {model[field]!r}, and a {name} has {known}; it can't be exported as one"
    )
