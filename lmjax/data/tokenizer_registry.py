"""The tokenizers by kind, and how they are read back from the files that they are saved in."""

from pathlib import Path
from typing import Any

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.given_byte_pairs import GivenBytePairTokenizer
from lmjax.data.given_tokenizer import MOST_TOKENS
from lmjax.data.id_tokenizer import IdTokenizer
from lmjax.data.label_tokenizer import LabelTokenizer
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.unigram_tokenizer import UnigramTokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wordpiece_tokenizer import WordPieceTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, SpecialTokenizer, check_roles
from lmjax.errors import UserError, nearest
from lmjax.runs.fields import check_fields, is_count, is_number, is_text, is_true_or_false
from lmjax.runs.files import read_json

KINDS = {
    tokenizer.kind: tokenizer
    for tokenizer in (
        ByteTokenizer,
        CharacterTokenizer,
        WordTokenizer,
        BytePairTokenizer,
        GivenBytePairTokenizer,
        WordPieceTokenizer,
        UnigramTokenizer,
        IdTokenizer,
        LabelTokenizer,
        SpanTokenizer,
        NumberTokenizer,
        SpecialTokenizer,
        PairTokenizer,
    )
}
WRAPPING = (SpecialTokenizer.kind, PairTokenizer.kind)
FIELDS = {
    "byte": {"document_end": is_true_or_false},
    "character": {
        "characters": is_text,
        "has_unknown": is_true_or_false,
        "document_end": is_true_or_false,
    },
    "word": {"words": [is_text], "has_unknown": is_true_or_false},
    "bpe": {"model": is_text, "document_end": is_true_or_false},
    "byte_pairs": {"tokens": [is_text], "merges": [is_text], "special": {...: is_count}},
    "wordpiece": {
        "pieces": [is_text],
        "special": {...: is_count},
        "lowercase": is_true_or_false,
        "strip_accents": is_true_or_false,
        "clean_text": is_true_or_false,
        "split_chinese": is_true_or_false,
        "longest_word": is_count,
    },
    "unigram": {
        "pieces": [is_text],
        "scores": [is_number],
        "special": {...: is_count},
        "normalizer": is_text,
        "whitespace_split": is_true_or_false,
    },
    "label": {"labels": [is_text]},
    "ids": {"vocabulary_size": is_count},
    "span": {"vocabulary_size": is_count},
    "number": {},
    "special": {"inner": {"kind": is_text}, "roles": [is_text]},
    "pair": {"target_side": {"kind": is_text}, "source_side": {"kind": is_text}},
}


def tokenizer_from_json(fields: dict[str, Any]) -> Tokenizer:
    """The tokenizer whose `to_json` gave `fields`; raises UserError if they describe none."""
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"unknown tokenizer {str(kind)[:80]!r}: {nearest(str(kind)[:80], KINDS)}")
    check_fields(fields, {"kind": is_text, **FIELDS[kind]}, f"{kind} tokenizer")
    if len(fields) > 1 + len(FIELDS[kind]):
        known = ", ".join(FIELDS[kind])
        raise UserError(f"a {kind} tokenizer has the fields {known} alone; restore the file")
    tokens = len(fields.get("tokens", fields.get("pieces", ())))
    if tokens > MOST_TOKENS:
        raise UserError(f"{tokens:,} tokens, over the limit of {MOST_TOKENS:,}; cut it")
    for entries in ("characters", "words", "tokens", "pieces", "labels"):
        if len(set(fields.get(entries, ()))) < len(fields.get(entries, ())):
            raise UserError(f"the {entries} of a {kind} tokenizer repeat one; restore the file")
    if kind in WRAPPING:
        _check_wrapped(fields)
    tokenizer = KINDS[kind](
        **{name: _argument(value) for name, value in fields.items() if name != "kind"}
    )
    tokenizer.check()
    return tokenizer


def _check_wrapped(fields: dict[str, Any]) -> None:
    """Refuses what is wrapped again: only a side of a pair may have special tokens."""
    check_roles(fields.get("roles", ()))
    refused = WRAPPING if fields["kind"] == SpecialTokenizer.kind else (PairTokenizer.kind,)
    for name, value in fields.items():
        if isinstance(value, dict) and value.get("kind") in refused:
            raise UserError(
                f"the {name} of a {fields['kind']} tokenizer is wrapped; restore the file"
            )


def _argument(value: Any) -> Any:
    if isinstance(value, dict) and "kind" in value:
        return tokenizer_from_json(value)
    return tuple(value) if isinstance(value, list) else value


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that `save` wrote; raises UserError if the file is missing or damaged."""
    path = Path(path)
    fields = read_json(path)
    try:
        return tokenizer_from_json(fields)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
