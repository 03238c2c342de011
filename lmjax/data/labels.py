"""Labelled sentences: the label is the text to be predicted, and the sentence its source."""

from collections import Counter

from lmjax.data.documents import SPLITS, Document, Splits, percentile
from lmjax.data.public_files import PublicFile
from lmjax.errors import UserError

SST2_URL = (
    "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/"
    "457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/"
)
SST2 = {
    name: PublicFile(f"sst2/{name}.tsv", f"{SST2_URL}{name}.tsv", sha256)
    for name, sha256 in {
        "train": "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920",
        "dev": "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359",
        "test": "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7",
    }.items()
}
SST2_ROWS = {"train": 6_920, "dev": 872, "test": 1_821}
TREC_URL = (
    "https://raw.githubusercontent.com/FreedomIntelligence/qnn/"
    "77f549372d4371e7f2d52e77bc18df5096dd4779/data/TREC/"
)
TREC = {
    name: PublicFile(f"trec/{name}", f"{TREC_URL}{name}", sha256)
    for name, sha256 in {
        "train_5500.label": "8bd6e79493f43bbd22c364587366a1dced54e1e31259eaa92721a0f526031116",
        "TREC_10.label": "86ad53c8fc9d397ab2f4be7c967d8efb470b260140557d3e57afad69d1b88b76",
    }.items()
}
TREC_ROWS = {"train_5500.label": 5_452, "TREC_10.label": 500}


def read_sst2() -> tuple[Splits, Counter]:
    """Sentences of film reviews, 1 if they praise, 0 if not (Socher et al. 2013)."""
    splits: Splits = {}
    for split, (name, rows) in zip(SPLITS, SST2_ROWS.items(), strict=True):
        lines = SST2[name].read().decode().splitlines()
        _check_rows("sst2", name, len(lines), rows)
        splits[split] = []
        for number, line in enumerate(lines, start=1):
            sentence, label = line.split("\t")
            splits[split].append(Document(f"{name}:{number}", label, sentence.strip()))
    return splits, Counter(sentences=sum(SST2_ROWS.values()))


def read_trec() -> tuple[Splits, Counter]:
    """Questions and the six kinds of what is asked for (Li and Roth 2002).

    About a tenth of the published training questions, by a hash of the question, is validation.
    """
    splits: Splits = {split: [] for split in SPLITS}
    for name, rows in TREC_ROWS.items():
        lines = TREC[name].read().decode("latin-1").split("\n")
        lines = [line for line in lines if line]
        _check_rows("trec", name, len(lines), rows)
        for number, line in enumerate(lines, start=1):
            kind, _, question = line.partition(" ")
            split = "test"
            if name.startswith("train"):
                split = "validation" if percentile(question) >= 90 else "train"
            document = Document(f"{name}:{number}", kind.partition(":")[0], question.strip())
            splits[split].append(document)
    return splits, Counter(questions=sum(TREC_ROWS.values()))


def _check_rows(corpus: str, name: str, found: int, expected: int) -> None:
    if found != expected:
        raise UserError(f"{corpus} has {found:,} rows in {name}, published are {expected:,}")
