"""The tokenizers by name; made from a corpus or from a file."""

from pathlib import Path
from typing import Any

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.errors import UserError, nearest
from lmjax.runs.fields import check_fields, is_text, is_true_or_false
from lmjax.runs.files import read_json

KINDS = {
    tokenizer.kind: tokenizer
    for tokenizer in (ByteTokenizer, CharacterTokenizer, WordTokenizer, BytePairTokenizer)
}
FIELDS = {
    "byte": {"document_end": is_true_or_false},
    "character": {
        "characters": is_text,
        "has_unknown": is_true_or_false,
        "document_end": is_true_or_false,
    },
    "word": {"words": [is_text], "has_unknown": is_true_or_false},
    "bpe": {"model": is_text, "document_end": is_true_or_false},
}


def check_tokenizer(data) -> None:
    """Raises UserError for a `config.data` whose tokenizer or vocabulary size cannot be."""
    size = data.vocabulary_size
    if data.tokenizer not in KINDS:
        raise UserError(f"unknown tokenizer {data.tokenizer!r}: {nearest(data.tokenizer, KINDS)}")
    if size and data.tokenizer in ("byte", "character"):
        raise UserError(
            f"data.vocabulary_size is {size}, but the {data.tokenizer} tokenizer has no size "
            "to choose; set it to 0"
        )
    if size < 0 or size in (1, 2):
        raise UserError(f"data.vocabulary_size is {size}; give 0 or more than 2")


def train_tokenizer(data, texts: list[str], closed: bool = False) -> Tokenizer:
    """The tokenizer of `config.data`, made from the training split's `texts` alone.

    `closed`: no text ever holds other characters or words, so that none is unknown. Raises
    UserError for what `check_tokenizer` refuses.
    """
    check_tokenizer(data)
    if data.tokenizer == "byte":
        return ByteTokenizer(data.document_end)
    if data.tokenizer == "character":
        return CharacterTokenizer.train(texts, data.document_end, closed)
    if data.tokenizer == "word":
        return WordTokenizer.train(texts, data.vocabulary_size, closed)
    return BytePairTokenizer.train(texts, data.vocabulary_size, data.document_end)


def tokenizer_from_json(fields: dict[str, Any]) -> Tokenizer:
    """The tokenizer whose `to_json` gave `fields`; raises UserError if they describe none."""
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"unknown tokenizer {str(kind)[:80]!r}: {nearest(str(kind)[:80], KINDS)}")
    check_fields(fields, {"kind": is_text, **FIELDS[kind]}, f"{kind} tokenizer")
    if len(fields) > 1 + len(FIELDS[kind]):
        known = ", ".join(FIELDS[kind])
        raise UserError(f"a {kind} tokenizer has the fields {known} alone; restore the file")
    for entries in ("characters", "words"):
        if len(set(fields.get(entries, ()))) < len(fields.get(entries, ())):
            raise UserError(f"the {entries} of a {kind} tokenizer repeat one; restore the file")
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
        if name != "kind"
    }
    tokenizer = KINDS[kind](**arguments)
    if isinstance(tokenizer, BytePairTokenizer):
        tokenizer.check()
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that `save` wrote; raises UserError if the file is missing or damaged."""
    path = Path(path)
    fields = read_json(path)
    try:
        return tokenizer_from_json(fields)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
