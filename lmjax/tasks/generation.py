"""How varied sampled texts are, and how much of them is copied from what was trained on."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sacrebleu.metrics import BLEU

from lmjax.errors import UserError
from lmjax.tasks.contract import Kind, Metrics
from lmjax.tasks.copies import BORDER, TrainingText, longest_copies, seen_share

DISTINCT = (1, 2, 3)
SEEN = (1, 2, 3, 4, 5, 7, 10)
MOST_COMPARED = 100  # samples that self-BLEU compares with each other
# Chinese and Japanese letters, between which there are no spaces.
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")
LETTER = re.compile(r"[^\W\d_]")


class Generation(Kind):
    """Texts of a model's own, which answer to nothing: a run's score has their bits per byte, of
    which less is better.

    What else there is to measure is of samples, beside the texts that were trained on.
    """

    name: ClassVar[str] = "generation"
    main: ClassVar[str] = "bits_per_byte"

    def measure(self, predictions, references) -> Metrics:
        measured = measure(predictions, references)
        return {name: value for name, value in measured.items() if not isinstance(value, str)}


def measure(samples: Sequence[str], training_texts: Sequence[str]) -> dict[str, Any]:
    """What samples are like, beside the documents that were trained on.

    - distinct_n: different n-grams over all n-grams of all samples (Li et al. 2016).
    - self_bleu: the mean BLEU of each sample, all others being its references, in percent (Zhu et
      al. 2018): lower is more varied.
    - seen_n: the share of the samples' n-grams that stand in the training text (McCoy et al. 2023).
    - longest_copy: of the runs of characters that also stand in one training document, the length
      of the longest of each sample: the mean, the most, and that text.

    `unit` is what n-grams are of: words between whitespace, or characters, where most letters of
    the samples are Chinese or Japanese. None for what samples are too short for. Raises UserError
    if there is no sample or nothing was trained on.
    """
    if not samples or not any(training_texts):
        missing = "sample" if not samples else "training text"
        raise UserError(f"there is no {missing}, so nothing can be measured; draw or give some")
    unit = unit_of(samples)
    rows = [_units(sample, unit) for sample in samples]
    codes, training = _coded(rows, training_texts, unit)
    measured: dict[str, Any] = {"samples": len(samples), "unit": unit}
    measured |= {f"distinct_{n}": distinct(rows, n) for n in DISTINCT}
    measured |= self_bleu(rows)
    measured |= {f"seen_{n}": seen_share(codes, training, n) for n in SEEN}
    return measured | _longest_copy(samples, training_texts)


def unit_of(texts: Sequence[str]) -> str:
    """`character` where most letters are of a script that has no spaces, else `word`."""
    letters = sum(len(LETTER.findall(text)) for text in texts)
    unspaced = sum(len(UNSPACED.findall(text)) for text in texts)
    return "character" if 2 * unspaced > letters else "word"


def distinct(rows: Sequence[Sequence[str]], n: int) -> float | None:
    """Different n-grams over all n-grams of the rows; None if there are none."""
    grams = [tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def self_bleu(rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The mean BLEU-4 of the first rows, each against all others of them, and its signature.

    Smoothed and with the effective order, as sacrebleu scores single sentences. None with fewer
    than two rows.
    """
    compared = [" ".join(row) for row in rows if row][:MOST_COMPARED]
    if len(compared) < 2:
        return {"self_bleu": None}
    metric = BLEU(tokenize="none", effective_order=True, force=True)
    scores = [
        metric.sentence_score(line, compared[:i] + compared[i + 1 :]).score
        for i, line in enumerate(compared)
    ]
    return {
        "self_bleu": float(np.mean(scores)),
        "self_bleu_samples": len(compared),
        "self_bleu_signature": str(metric.get_signature()),
    }


def _units(text: str, unit: str) -> list[str]:
    return text.split() if unit == "word" else [letter for letter in text if not letter.isspace()]


def _coded(
    rows: Sequence[list[str]], training_texts: Sequence[str], unit: str
) -> tuple[list[np.ndarray], TrainingText]:
    """The rows and the training text in numbers: all that no row has is BORDER there."""
    codes: dict[str, int] = {}
    coded = [
        np.array([codes.setdefault(each, len(codes) + 1) for each in row], np.int32) for row in rows
    ]
    training = TrainingText(
        np.array([codes.get(each, BORDER) for each in _units(text, unit)], np.int32)
        for text in training_texts
    )
    return coded, training


def _longest_copy(samples: Sequence[str], training_texts: Sequence[str]) -> dict[str, Any]:
    found = longest_copies(
        [_characters(sample) for sample in samples],
        TrainingText(_characters(text) for text in training_texts),
    )
    place = max(range(len(found)), key=lambda place: found[place].length)
    start, length = found[place]
    return {
        "longest_copy_mean": float(np.mean([copy.length for copy in found])),
        "longest_copy": length,
        "longest_copy_text": samples[place][start : start + length],
        "longest_copy_sample": place + 1,
    }


def _characters(text: str) -> np.ndarray:
    """Code points and one, so that none is BORDER."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32) + 1
