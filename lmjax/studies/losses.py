"""What arms are compared by, the lower the better: bits per byte, or the errors in a task."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

LABELS = "labels"  # what nats are of in a classification
# What errors are told by, where that is what nats are of: answers of a generated task, labels,
# where answers begin and end.
ACCURACY = {"answers": "length_accuracy", LABELS: "accuracy", "places": "accuracy"}
BITS, ERROR = "bits per byte", "error"
SHORT = {BITS: "bits/byte", ERROR: "error"}
MEANING = (
    "error is the share of answers that are wrong, of a generated task a mean over lengths, of "
    "answers in a text that of their first and last places"
)


def loss_of(score: Mapping[str, Any]) -> float | None:
    """Of a score or a row of evaluation; None if it has neither."""
    if score.get("nats_of") not in ACCURACY:
        return score.get("bits_per_byte")
    accuracy = score.get(ACCURACY[score["nats_of"]])
    return None if accuracy is None else 1 - accuracy


def loss_name(kinds: Collection[str]) -> str:
    """BITS or ERROR, by what the nats are of."""
    return ERROR if kinds and set(kinds) <= ACCURACY.keys() else BITS


def segment_losses(score: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """`losses_G, sizes_G` of the segments of a text, whose sums' ratio is its loss.

    They are bits, what spells unknowns included, and bytes, or errors and labels. None where no
    segments are of a text.
    """
    table = score.get("segments")
    if table is None or not any(table["bytes"]):
        return None
    if score.get("nats_of") == LABELS:
        if "right" not in table:
            return None
        return np.subtract(table["tokens"], table["right"]), np.array(table["tokens"], float)
    nats_G = np.add(table["nats"], table.get("spelling_nats", 0.0))
    return nats_G / np.log(2), np.array(table["bytes"], float)
