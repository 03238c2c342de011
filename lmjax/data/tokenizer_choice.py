"""The tokenizer that `config.data` chooses: made from the training text, or read from a file."""

from ml_collections import ConfigDict

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.label_tokenizer import LabelTokenizer
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import check_roles, with_special_tokens
from lmjax.errors import UserError, nearest

SPAN = SpanTokenizer.kind
CHOICES = ("byte", "character", "word", "bpe", "label", "number", SPAN, "file")
OF_TARGETS = ("label", "number")  # a whole text is one token


def check_tokenizer(data) -> None:
    """Raises UserError for a `config.data` whose tokenizer or vocabulary size cannot be."""
    size = data.vocabulary_size
    if data.tokenizer not in CHOICES:
        raise UserError(f"unknown tokenizer {data.tokenizer!r}: {nearest(data.tokenizer, CHOICES)}")
    check_roles(data.special_tokens)
    if data.source_tokenizer in (*OF_TARGETS, SPAN):
        raise UserError(
            f"data.source_tokenizer is {data.source_tokenizer!r}, which is of targets alone; set "
            "it to one of texts, such as 'bpe'"
        )
    if data.tokenizer == SPAN and not data.source_tokenizer:
        raise UserError(
            f"data.tokenizer {SPAN!r} is of the places of answers in their sources, which need a "
            "tokenizer of their own; set data.source_tokenizer to one of texts, such as 'bpe'"
        )
    if size and data.tokenizer in ("byte", "character", *OF_TARGETS, SPAN, "file"):
        raise UserError(
            f"data.vocabulary_size is {size}, but the {data.tokenizer} tokenizer has no size "
            "to choose; set it to 0"
        )
    if data.tokenizer_file and "file" not in (data.tokenizer, data.source_tokenizer):
        raise UserError(
            f"data.tokenizer_file is given, but data.tokenizer is {data.tokenizer!r}; set that, or "
            "data.source_tokenizer, to 'file' or leave the file out"
        )
    if data.tokenizer in OF_TARGETS and (not data.source_tokenizer or data.document_end):
        raise UserError(
            f"data.tokenizer {data.tokenizer!r} takes each text as a {data.tokenizer}; set "
            "data.source_tokenizer to that of the sources, such as 'bpe', and data.document_end to "
            "False"
        )
    if size < 0 or size in (1, 2):
        raise UserError(f"data.vocabulary_size is {size}; give 0 or more than 2")


def target_data(data) -> ConfigDict:
    """`config.data` as it describes the tokenizer of the targets alone, if sources have another."""
    return ConfigDict({**data.to_dict(), "special_tokens": ()})


def source_data(data) -> ConfigDict:
    """`config.data` as it describes the tokenizer of the sources alone, if they have another."""
    changes = {
        "tokenizer": data.source_tokenizer,
        "tokenizer_file": data.tokenizer_file if data.source_tokenizer == "file" else "",
        "vocabulary_size": data.source_vocabulary_size,
        "document_end": False,
    }
    return ConfigDict({**data.to_dict(), **changes})


def target_kind(data) -> str:
    """The kind of tokenizer that targets have, also where it is read from a file."""
    given = given_tokenizer(target_data(data))
    return given.target.kind if given else data.tokenizer


def train_tokenizer(
    data, texts: list[str], closed: bool = False, *, side: str = "target"
) -> Tokenizer:
    """The tokenizer of `config.data`, made from the training split's `texts` alone.

    `closed`: no text ever holds other characters or words, so that none is unknown. `side` as of
    `given_tokenizer`. Raises UserError for what `check_tokenizer` refuses.
    """
    check_tokenizer(data)
    given = given_tokenizer(data, side=side)
    return given or with_special_tokens(_train(data, texts, closed), data.special_tokens)


def given_tokenizer(data, *, side: str = "target") -> Tokenizer | None:
    """The tokenizer in the file that `config.data` names, if it names one, with special tokens.

    Of a pair, where the source has a tokenizer of its own, it is the target's or the source's, by
    `side`. Raises UserError for a file that can't be read, and for one without the `<eos>` that
    `config.data.document_end` asks for.
    """
    if data.tokenizer != "file":
        return None
    if not data.tokenizer_file:
        raise UserError("a tokenizer is to be that of a 'file'; name it in data.tokenizer_file")
    tokenizer = read_tokenizer_file(data.tokenizer_file, data.tokenizer_lowercase)
    if data.document_end and tokenizer.end_id is None:
        raise UserError(
            f"{data.tokenizer_file} has no token for the end of a document; set "
            "data.document_end to False"
        )
    if data.source_tokenizer:
        tokenizer = getattr(tokenizer, side)
    return with_special_tokens(tokenizer, data.special_tokens)


def _train(data, texts: list[str], closed: bool) -> Tokenizer:
    if data.tokenizer == "byte":
        return ByteTokenizer(data.document_end)
    if data.tokenizer == "character":
        return CharacterTokenizer.train(texts, data.document_end, closed)
    if data.tokenizer == "label":
        return LabelTokenizer.train(texts)
    if data.tokenizer == SPAN:
        return SpanTokenizer.of_rows(data.source_length)
    if data.tokenizer == "number":
        return NumberTokenizer()
    if data.tokenizer == "word":
        return WordTokenizer.train(texts, data.vocabulary_size, closed)
    return BytePairTokenizer.train(texts, data.vocabulary_size, data.document_end)
