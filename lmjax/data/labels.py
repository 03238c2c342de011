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
SST2_GLUE = {
    "train": PublicFile(
        "sst2_glue/train.tsv",
        "https://raw.githubusercontent.com/FreedomIntelligence/qnn/"
        "77f549372d4371e7f2d52e77bc18df5096dd4779/data/SST/Binary/sentiment-train",
        "48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1",
        header=b"sentence\tlabel\n",
    ),
    "dev": PublicFile(
        "sst2_glue/dev.tsv",
        "https://raw.githubusercontent.com/forest-snow/alps/"
        "3c7ef2c98249fc975a897b27f275695f97d5b7a9/data/SST-2/test.tsv",
        "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
    ),
    "test": SST2["test"],
}
SST2_GLUE_ROWS = {"train": 67_349, "dev": 872, "test": 1_821}
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
    return _sentences("sst2", SST2, SST2_ROWS)


def read_sst2_glue() -> tuple[Splits, Counter]:
    """As GLUE has them (Wang et al. 2019): training also on phrases of the training sentences.

    Its dev set is validation; labels of its test set are not public, so test is that of `sst2`.
    """
    return _sentences("sst2_glue", SST2_GLUE, SST2_GLUE_ROWS)


def _sentences(
    corpus: str, files: dict[str, PublicFile], published: dict[str, int]
) -> tuple[Splits, Counter]:
    splits: Splits = {}
    for split, (name, rows) in zip(SPLITS, published.items(), strict=True):
        lines = files[name].read().decode().removesuffix("\n").split("\n")
        if lines[0] == "sentence\tlabel":
            lines = lines[1:]
        check_rows(corpus, name, len(lines), rows)
        splits[split] = []
        for number, line in enumerate(lines, start=1):
            sentence, label = line.split("\t")
            splits[split].append(Document(f"{name}:{number}", label, sentence.strip()))
    return splits, Counter(sentences=sum(published.values()))


def read_trec(fine: bool = False) -> tuple[Splits, Counter]:
    """Questions and the six kinds of what is asked for, or 50 `fine` ones (Li and Roth 2002).

    About a tenth of the published training questions, by a hash of the question, is validation.
    """
    splits: Splits = {split: [] for split in SPLITS}
    for name, rows in TREC_ROWS.items():
        lines = TREC[name].read().decode("latin-1").split("\n")
        lines = [line for line in lines if line]
        check_rows("trec", name, len(lines), rows)
        for number, line in enumerate(lines, start=1):
            kind, _, question = line.partition(" ")
            split = "test"
            if name.startswith("train"):
                split = "validation" if percentile(question) >= 90 else "train"
            label = kind if fine else kind.partition(":")[0]
            splits[split].append(Document(f"{name}:{number}", label, question.strip()))
    return splits, Counter(questions=sum(TREC_ROWS.values()))


def check_rows(corpus: str, name: str, found: int, expected: int) -> None:
    """Raises UserError if a file has another number of rows than was published."""
    if found != expected:
        raise UserError(f"{corpus} has {found:,} rows in {name}, published are {expected:,}")
