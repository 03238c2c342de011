"""The tokenizer that `config.data` chooses: made from the training text, or read from a file."""

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, check_roles, with_special_tokens
from lmjax.errors import UserError, nearest

CHOICES = ("byte", "character", "word", "bpe", "file")


def check_tokenizer(data) -> None:
    """Raises UserError for a `config.data` whose tokenizer or vocabulary size cannot be."""
    size = data.vocabulary_size
    if data.tokenizer not in CHOICES:
        raise UserError(f"unknown tokenizer {data.tokenizer!r}: {nearest(data.tokenizer, CHOICES)}")
    check_roles(data.special_tokens)
    if size and data.tokenizer in ("byte", "character", "file"):
        raise UserError(
            f"data.vocabulary_size is {size}, but the {data.tokenizer} tokenizer has no size "
            "to choose; set it to 0"
        )
    if data.tokenizer_file and data.tokenizer != "file":
        raise UserError(
            f"data.tokenizer_file is given, but data.tokenizer is {data.tokenizer!r}; set that to "
            "'file' or leave the file out"
        )
    if data.source_tokenizer == "file":
        raise UserError(
            "data.source_tokenizer is 'file', but only data.tokenizer may be; leave the source's "
            "out, and the file's is that of both sides"
        )
    if size < 0 or size in (1, 2):
        raise UserError(f"data.vocabulary_size is {size}; give 0 or more than 2")


def train_tokenizer(data, texts: list[str], closed: bool = False) -> Tokenizer:
    """The tokenizer of `config.data`, made from the training split's `texts` alone.

    `closed`: no text ever holds other characters or words, so that none is unknown. Raises
    UserError for what `check_tokenizer` refuses.
    """
    check_tokenizer(data)
    given = given_tokenizer(data)
    return given or with_special_tokens(_train(data, texts, closed), data.special_tokens)


def given_tokenizer(data) -> Tokenizer | None:
    """The tokenizer in the file that `config.data` names, if it names one, with special tokens.

    Of a pair, where the source has a tokenizer of its own, it is the target's. Raises UserError for
    a file that can't be read, and for one without the `<eos>` that `config.data.document_end` asks
    for.
    """
    if data.tokenizer != "file":
        return None
    if not data.tokenizer_file:
        raise UserError("data.tokenizer is 'file'; name that in data.tokenizer_file")
    tokenizer = read_tokenizer_file(data.tokenizer_file, data.tokenizer_lowercase)
    if data.document_end and tokenizer.end_id is None:
        raise UserError(
            f"{data.tokenizer_file} has no token for the end of a document; set "
            "data.document_end to False"
        )
    if data.source_tokenizer and isinstance(tokenizer, PairTokenizer):
        tokenizer = tokenizer.target_side
    return with_special_tokens(tokenizer, data.special_tokens)


def _train(data, texts: list[str], closed: bool) -> Tokenizer:
    if data.tokenizer == "byte":
        return ByteTokenizer(data.document_end)
    if data.tokenizer == "character":
        return CharacterTokenizer.train(texts, data.document_end, closed)
    if data.tokenizer == "word":
        return WordTokenizer.train(texts, data.vocabulary_size, closed)
    return BytePairTokenizer.train(texts, data.vocabulary_size, data.document_end)
