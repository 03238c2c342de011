"""What arms are compared by, the lower the better: bits per byte, or the errors in a task."""

from collections.abc import Collection, Mapping
from typing import Any

ANSWERS = "answers"  # what nats are of in a generated task
BITS, ERROR = "bits per byte", "error"
SHORT = {BITS: "bits/byte", ERROR: "error"}
MEANING = "error is the share of answers that are wrong, a mean over the lengths of the inputs"


def loss_of(score: Mapping[str, Any]) -> float | None:
    """Of a score or a row of evaluation; None if it has neither."""
    if score.get("nats_of") != ANSWERS:
        return score.get("bits_per_byte")
    accuracy = score.get("length_accuracy")
    return None if accuracy is None else 1 - accuracy


def loss_name(kinds: Collection[str]) -> str:
    """BITS or ERROR, by what the nats are of."""
    return ERROR if set(kinds) == {ANSWERS} else BITS
