"""The tables of a report: their columns, and what these mean."""

from dataclasses import dataclass

from lmjax.studies.losses import BITS, ERROR, MEANING, SHORT

# Each table's columns, and what they mean.
TABLES = {
    "Scores": {
        "seeds": "finished of those begun; a counted model draws nothing, so one run is enough",
        "validation bits/byte": "a mean over seeds ± half of its 95 % interval (Student's t)",
        "test bits/byte": "the same; this split is read last, once nothing is left to choose",
        "by text": "half of the 95 % interval over texts (a bootstrap over segments), of test "
        "where it is scored; arms share the text, so that it tells little of their differences",
        "unknowns": "targets that the vocabulary lacks, in validation and in test; bits/byte "
        "charges their spelling",
    },
    "Beside the baseline": {
        "above it, bits/byte": "the difference of the means, negative where the arm is better, ± "
        "half of its 95 % interval: Student's t on a bootstrap over seeds and segments of the text",
        "percent": "the difference, of the baseline's score",
        "Holm's p": "the p that counts: of no difference over other seeds and other texts, by the "
        "same t, corrected for the number of arms",
        "finding": "better or worse only where Holm's p is below 0.05, from three seeds on",
    },
    "More on the difference": {
        "p": "the p that counts without its correction",
        "p by text": "of no difference between these very runs over other texts: signs of segments "
        "are flipped",
        "p by seeds": "of no difference on this very text over other seeds: arms are exchanged; in "
        "brackets how low it could be, where that is too high to tell",
        "Hedges' g": "the difference in deviations over seeds, corrected for their small number",
    },
    "Perplexity": {
        "validation perplexity": "per token, a mean over seeds ± half of its 95 % interval; shown "
        "only where all arms have the same tokens",
        "test perplexity": "the same",
    },
    "Models": {
        "parameters": "all of them; of a counted model the entries of its tables",
        "non-embedding": "those that belong to no token and no position",
        "nats of": "what was predicted from what, where that is not: each token from those before "
        "it; figures of different kinds say nothing of each other",
        "context": "what has been read of the text when a token is scored",
        "state bytes": "what is remembered of one text between two tokens, at its longest",
    },
    "Training": {
        "tokens": "that were trained on, each as often as it was read",
        "distinct tokens": "places of the training text that were read at least once",
        "FLOPs": "of training: of matrix products and convolutions, a multiply and an add each, "
        "and of what is done element by element, in scans too",
        "tokens/s": "training tokens over seconds of training",
        "time": "of training, without compilation and evaluation",
    },
    "Choices by validation": {
        "trials": "configurations that validation was asked about, and how many of them failed",
        "tokens each": "that a trial was trained on, at the most",
        "tuning tokens": "of all trials that ended; one that went on is counted once",
        "tuning FLOPs": "the same",
        "best trial": "its bits/byte on validation; of choices trained in full, a mean over seeds",
        "chosen": "values of the best trial, which every seed was then trained with",
    },
}


@dataclass(frozen=True)
class Row:
    """One arm's figures as text, by column; empty where there is none."""

    arm: str
    note: str
    figures: dict[str, str]
    is_winner: bool


@dataclass(frozen=True)
class ShownTable:
    """One of TABLES as far as there are figures for it: columns with their meanings, and rows."""

    title: str
    columns: dict[str, str]
    rows: list[Row]


def shown_tables(rows: list[Row], loss: str = BITS) -> list[ShownTable]:
    """Of TABLES those, their columns and their rows that have a figure; of the first all rows.

    Columns of bits per byte are called by the loss, as those of the rows are.
    """
    tables = []
    for title, meanings in TABLES.items():
        meanings = named(meanings, loss)
        columns = {
            column: meaning
            for column, meaning in meanings.items()
            if any(row.figures.get(column) for row in rows)
        }
        shown = [row for row in rows if any(row.figures.get(column) for column in columns)]
        if columns:
            tables.append(ShownTable(title, columns, shown if tables else rows))
    return tables


def named(texts: dict[str, str], loss: str) -> dict[str, str]:
    """Figures or meanings by column, those of bits per byte called by the loss."""
    found = {
        column.replace(SHORT[BITS], SHORT[loss]): text.replace(SHORT[BITS], SHORT[loss])
        for column, text in texts.items()
        if loss == BITS or column != "unknowns"
    }
    first = f"validation {SHORT[loss]}"
    if loss == ERROR and "mean over seeds" in found.get(first, ""):
        found[first] += f"; {MEANING}"
    return found
