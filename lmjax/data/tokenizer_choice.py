"""The tokenizer that `config.data` chooses, made from the training text."""

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import SpecialTokenizer, check_roles
from lmjax.errors import UserError, nearest

CHOICES = ("byte", "character", "word", "bpe")


def check_tokenizer(data) -> None:
    """Raises UserError for a `config.data` whose tokenizer or vocabulary size cannot be."""
    size = data.vocabulary_size
    if data.tokenizer not in CHOICES:
        raise UserError(f"unknown tokenizer {data.tokenizer!r}: {nearest(data.tokenizer, CHOICES)}")
    check_roles(data.special_tokens)
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
    trained, roles = _train(data, texts, closed), data.special_tokens
    return SpecialTokenizer(trained, tuple(roles)) if roles else trained


def _train(data, texts: list[str], closed: bool) -> Tokenizer:
    if data.tokenizer == "byte":
        return ByteTokenizer(data.document_end)
    if data.tokenizer == "character":
        return CharacterTokenizer.train(texts, data.document_end, closed)
    if data.tokenizer == "word":
        return WordTokenizer.train(texts, data.vocabulary_size, closed)
    return BytePairTokenizer.train(texts, data.vocabulary_size, data.document_end)
