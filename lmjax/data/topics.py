"""Texts labelled with their topics: news, and messages of newsgroups."""

import csv
import io
import tarfile
from collections import Counter

from lmjax.data.documents import SPLITS, Document, Splits, percentile
from lmjax.data.labels import check_rows
from lmjax.data.public_files import PublicFile

AG_NEWS = {
    "train_subset_10k.tsv": PublicFile(
        "ag_news/train_subset_10k.tsv",
        "https://raw.githubusercontent.com/forest-snow/alps/"
        "3c7ef2c98249fc975a897b27f275695f97d5b7a9/data/agnews/dev.tsv",
        "7a0811e0006080bf4de17752c5466450ff3db778be71bc5bcf3c4e99b5f0803d",
    ),
    "test.csv": PublicFile(
        "ag_news/test.csv",
        "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/"
        "555590db4219b1243abb1918effd6a7425a2d75f/data/ag_news_csv/test.csv",
        "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
    ),
}
AG_NEWS_ROWS = {"train_subset_10k.tsv": 10_001, "test.csv": 7_600}
AG_NEWS_TOPICS = ("World", "Sports", "Business", "Sci/Tech")  # numbered from 1 in test.csv
NEWSGROUPS = PublicFile(
    "20news/20news-bydate.tar",
    "https://github.com/yao8839836/text_gcn/tree/962223652e9bb164ac2d83cd09fc7b8845ce860b/data/20ng",
    "9bed7b69745d64527f98aa2196795cb6d68ba3b9c1077e33ec7f44fa200fa106",
    is_folder=True,
)
NEWSGROUPS_MESSAGES = {"20news-bydate-train": 11_314, "20news-bydate-test": 7_532}


def read_ag_news() -> tuple[Splits, Counter]:
    """Descriptions of news and their topics (Zhang et al. 2015); training is on a part of theirs.

    That part has no titles, so those of the test set, which is whole, are left out. About a tenth
    of the training texts, by a hash of the text, is validation.
    """
    splits: Splits = {split: [] for split in SPLITS}
    for name, file in AG_NEWS.items():
        delimiter = "\t" if name.endswith(".tsv") else ","
        text = io.StringIO(file.read().decode(), newline="")
        rows = list(csv.reader(text, delimiter=delimiter))
        check_rows("ag_news", name, len(rows), AG_NEWS_ROWS[name])
        for number, row in enumerate(rows, start=1):
            if name == "test.csv":
                split, label, description = "test", AG_NEWS_TOPICS[int(row[0]) - 1], row[2]
            else:
                description, label = row
                split = "validation" if percentile(description) >= 90 else "train"
            splits[split].append(Document(f"{name}:{number}", label, description.strip()))
    return splits, Counter(texts=sum(AG_NEWS_ROWS.values()))


def read_newsgroups() -> tuple[Splits, Counter]:
    """Messages of 20 newsgroups, whose names are the labels, split by date (Lang 1995).

    Whole: the steps of cleaning `message_headers`, `message_footers` and `message_quotes` leave
    those out. About a tenth of the training messages, by a hash of the message's number, is
    validation.
    """
    splits: Splits = {split: [] for split in SPLITS}
    found: Counter = Counter()
    with tarfile.open(fileobj=io.BytesIO(NEWSGROUPS.read())) as archive:
        for member in archive:
            if not member.isfile():
                continue
            part, group, number = member.name.split("/")[-3:]
            found[part] += 1
            split = "test"
            if part.endswith("train"):
                split = "validation" if percentile(number) >= 90 else "train"
            text = archive.extractfile(member).read().decode("latin-1")
            splits[split].append(Document(f"{part}/{group}/{number}", group, text))
    for part, messages in NEWSGROUPS_MESSAGES.items():
        check_rows("20news", part, found[part], messages)
    return splits, Counter(messages=sum(NEWSGROUPS_MESSAGES.values()))
