"""A model's nats over a text, and the counts that they are divided by."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from lmjax.errors import UserError, nearest

VIEWS = (
    "nats_per_token",
    "bits_per_token",
    "bits_per_byte",
    "bits_per_character",
    "perplexity",
    "word_perplexity",
)
NATS_OF_A_SYMBOL = math.log(257)


@dataclass(frozen=True)
class Score:
    """Minus the log-probability of a whole text in nats; everything else is a view of it.

    `total_nats` are those of the tokens, `spelling_nats` what it takes to tell of the text what
    they don't. Views per token are of the tokens alone; all others are of the text, so of both. A
    view is None where the text has none of what it divides by.
    """

    total_nats: float
    spelling_nats: float
    tokens: int
    words: int
    bytes: int
    characters: int
    unknowns: int  # targets that the vocabulary lacks
    dropped_bytes: int  # of whitespace, case and accents that the tokens don't give back
    ends_of_line: int
    nats_of: str  # what was predicted from what: causal, conditional (on a source), ...
    context: str  # the context policy's name
    fingerprint: str  # the stream's: <text>-<tokens>
    # Columns nats, spelling_nats, tokens, bytes, and right where it is counted, in the text's
    # order; of a task, whose examples of one length are a segment, length too.
    segments: dict[str, list]
    right: int | None = None  # targets that were the model's first choice; None: not counted

    @property
    def text_fingerprint(self) -> str:
        """The digest of the text, whatever the tokenizer."""
        return self.fingerprint.partition("-")[0]

    @property
    def nats_per_token(self) -> float:
        return self.total_nats / self.tokens

    @property
    def bits_per_token(self) -> float:
        return self.nats_per_token / math.log(2)

    @property
    def text_nats(self) -> float:
        """Of the whole text: of its tokens, and of what they don't tell of it."""
        return self.total_nats + self.spelling_nats

    @property
    def bits_per_byte(self) -> float | None:
        return self.text_nats / math.log(2) / self.bytes if self.bytes else None

    @property
    def bits_per_character(self) -> float | None:
        return self.text_nats / math.log(2) / self.characters if self.characters else None

    @property
    def perplexity(self) -> float | None:
        """Per token; infinite beyond the range of a float; None if the targets are no text."""
        return _exp(self.nats_per_token) if self.bytes else None

    @property
    def word_perplexity(self) -> float | None:
        """Per word, the end of a line counted as one, whatever the tokens are."""
        words = self.words + self.ends_of_line
        return _exp(self.text_nats / words) if words else None

    @property
    def accuracy(self) -> float | None:
        """The share of targets that were the model's first choice; None: not counted."""
        return None if self.right is None else self.right / self.tokens

    @property
    def length_accuracy(self) -> float | None:
        """The mean of the accuracies of all lengths of a task; None: no such are counted."""
        accuracies = self.accuracies_by_length
        return None if accuracies is None else sum(accuracies.values()) / len(accuracies)

    @property
    def accuracies_by_length(self) -> dict[int, float] | None:
        """The accuracy on the examples of each length of a task; None: no such are counted."""
        if not {"length", "right"} <= set(self.segments):
            return None
        columns = (self.segments[name] for name in ("length", "right", "tokens"))
        found = {
            length: right / tokens for length, right, tokens in zip(*columns, strict=True) if tokens
        }
        return found or None

    def to_json(self) -> dict[str, Any]:
        """All fields and what is derived from them."""
        derived = ("text_fingerprint", "accuracy", "length_accuracy", *VIEWS)
        return asdict(self) | {name: getattr(self, name) for name in derived}

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> "Score":
        """The score that `to_json` wrote; what is derived is derived anew."""
        return cls(**{field.name: written[field.name] for field in fields(cls)})


def spelling_nats(symbols: int) -> float:
    """Nats that it takes to spell what a vocabulary lacks: uniform over 256 bytes and an end.

    A word of n bytes takes n + 1 symbols. So the probabilities of all words that `<unk>` can stand
    for sum to the one that the model gives to `<unk>`, as Mielke (2019), "Can you compare
    perplexity across different segmentations?", asks for.
    """
    return symbols * NATS_OF_A_SYMBOL


def compare(
    a: Score, b: Score, view: str = "bits_per_byte", *, across_contexts: bool = False
) -> float:
    """How much larger `a` is than `b` in a view (positive: `b` is the better model).

    Raises UserError if they are of different texts or kinds; of different contexts, unless
    `across_contexts` says that this is meant; of different tokens, and the view is not bits per
    byte, the only one that no choice of tokenizer changes; or if the text has no such view.
    """
    if view not in VIEWS:
        raise UserError(f"unknown view {view!r} of a score: {nearest(view, VIEWS)}")
    if a.text_fingerprint != b.text_fingerprint:
        raise UserError(
            f"scores of different texts ({a.text_fingerprint} and {b.text_fingerprint}) are not "
            "comparable; score both models on the same split of the same corpus"
        )
    if a.nats_of != b.nats_of:
        raise UserError(
            f"scores of different kinds ({a.nats_of} and {b.nats_of}): the targets are predicted "
            "from other things, so their nats say nothing of each other"
        )
    if a.context != b.context and not across_contexts:
        raise UserError(
            f"scores in different contexts ({a.context} and {b.context}): one model has read more "
            "before each target; score both in one, or say across_contexts=True if this is meant"
        )
    if a.fingerprint != b.fingerprint and view != "bits_per_byte":
        raise UserError(f"{view} is not comparable across tokenizers; compare bits_per_byte")
    values = getattr(a, view), getattr(b, view)
    if None in values:
        raise UserError(f"the text has no {view}; compare another view")
    return values[0] - values[1]


def _exp(exponent: float) -> float:
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf
