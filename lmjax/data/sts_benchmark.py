"""Pairs of sentences whose similarity people have rated."""

from collections import Counter

from lmjax.data.documents import SPLITS, Document, Splits
from lmjax.data.public_files import PublicFile
from lmjax.data.word_tests import RatedPair
from lmjax.errors import UserError, nearest

URL = (
    "https://raw.githubusercontent.com/sudha93/semanticTextualSimilarity/"
    "f1ecd82418d9b84e48baef14d499d0fc23430360/stsbenchmark/"
)
FILES = {  # by split: the digest, and how many pairs
    "train": ("fbe68f39a712ff9e80d48906d62547bde42a8154a37dfb5ad78002f29a810fb3", 5749),
    "validation": ("5d7e944d8b02734b07bfdb5df67db3420c64bed153fcaa1ba47ad03480cf4234", 1500),
    "test": ("affe45928a66ee5a708531233c95b7dacbbdc57f974f002a3d32ea0180cf816a", 1379),
}
RATING, FIRST, SECOND = 4, 5, 6  # columns; licences follow in some rows


PUBLISHED = {
    split: PublicFile(
        f"stsbenchmark/sts-{(name := {'validation': 'dev'}.get(split, split))}.csv",
        f"{URL}sts-{name}.csv",
        digest,
    )
    for split, (digest, _) in FILES.items()
}


def read_sts_benchmark() -> tuple[Splits, Counter]:
    """The pairs as a corpus: the rating, from 0 to 5, is the text."""
    splits: Splits = {
        split: [
            Document(f"{split}:{number}", f"{pair.rating:g}", pair.first, pair.second)
            for number, pair in enumerate(sts_benchmark(split), start=1)
        ]
        for split in SPLITS
    }
    return splits, Counter(pairs=sum(map(len, splits.values())))


def sts_benchmark(split: str) -> list[RatedPair]:
    """The STS benchmark (Cer et al. 2017): pairs of sentences, rated from 0 to 5.

    Raises UserError for an unknown split, and if the file is nowhere to be had or is not the
    published one.
    """
    if split not in FILES:
        raise UserError(f"the STS benchmark has no split {split!r}: {nearest(split, FILES)}")
    file, published = PUBLISHED[split], FILES[split][1]
    # No quotation marks enclose a field, and no character but a line feed ends a row.
    rows = [line.split("\t") for line in file.read().decode().removesuffix("\n").split("\n")]
    if len(rows) != published:
        raise UserError(f"{file.path} has {len(rows):,} pairs, published are {published:,}")
    return [RatedPair(row[FIRST], row[SECOND], float(row[RATING])) for row in rows]
