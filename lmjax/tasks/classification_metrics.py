"""Accuracy, macro F1 and Matthews' correlation, of counts of what is called what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmjax.errors import UserError


@dataclass(frozen=True)
class Confusion:
    """How often each label is called each: rows are what is right, columns what is predicted."""

    labels: tuple[str, ...]  # those that occur on either side, in order
    counts_CC: np.ndarray

    @classmethod
    def of(cls, predictions: Sequence[str], references: Sequence[str]) -> "Confusion":
        """Raises UserError if there is nothing to compare."""
        labels, cells_N = cells_of(predictions, references)
        counts_C = np.bincount(cells_N, minlength=len(labels) ** 2)
        return cls(labels, counts_C.reshape(len(labels), -1))


def cells_of(
    predictions: Sequence[str], references: Sequence[str]
) -> tuple[tuple[str, ...], np.ndarray]:
    """The labels that occur, and `cells_N`, of each example its place in a confusion matrix."""
    if not len(references):
        raise UserError("there is no example to compare; choose another split")
    labels = tuple(sorted({*predictions, *references}))
    place = {label: i for i, label in enumerate(labels)}
    pairs = zip(references, predictions, strict=True)
    return labels, np.array([place[right] * len(labels) + place[told] for right, told in pairs])


def classification_metrics(counts_RCC: np.ndarray) -> dict[str, np.ndarray]:
    """By metric `values_R`, of R matrices of counts.

    Macro F1 is the mean over the labels that occur in the matrix, on either side, as scikit-learn's
    is. Matthews' correlation (Gorodkin 2004) is 0 where all predictions are alike (Chicco and
    Jurman 2020), and NaN where all that is right is alike: nothing then tells chance from skill.
    """
    right_RC = np.diagonal(counts_RCC, axis1=1, axis2=2).astype(np.float64)
    true_RC, told_RC = (counts_RCC.sum(axis=axis).astype(np.float64) for axis in (2, 1))
    total_R, right_R = true_RC.sum(axis=1), right_RC.sum(axis=1)
    occurs_RC = true_RC + told_RC > 0
    f1_RC = 2 * right_RC / np.where(occurs_RC, true_RC + told_RC, 1)
    covariance_R = right_R * total_R - (true_RC * told_RC).sum(axis=1)
    spread_R = total_R**2 - (true_RC**2).sum(axis=1)  # of what is right
    told_spread_R = total_R**2 - (told_RC**2).sum(axis=1)
    product_R = np.sqrt(spread_R * told_spread_R)
    mcc_R = covariance_R / np.where(product_R > 0, product_R, 1)
    return {
        "accuracy": right_R / total_R,
        "macro_f1": f1_RC.sum(axis=1) / occurs_RC.sum(axis=1),
        "mcc": np.where(spread_R > 0, mcc_R, np.nan),
    }
