"""The tokenizer of answers' places: where in a row of its source one begins, and where it ends."""

from dataclasses import dataclass

from lmjax.data.id_tokenizer import IdTokenizer

NOWHERE = 0  # the place of what does not stand in a row; those of its tokens count from 1


@dataclass(frozen=True)
class SpanTokenizer(IdTokenizer):
    """A text is the places of an answer's first and last token, in rows of bounded length."""

    kind = "span"

    @classmethod
    def of_rows(cls, length: int) -> "SpanTokenizer":
        """For rows of at most so many tokens."""
        return cls(NOWHERE + 1 + length)

    @property
    def row_length(self) -> int:
        """The most tokens of a row whose places it tells."""
        return self.vocabulary_size - NOWHERE - 1
