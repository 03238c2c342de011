"""A corpus of summaries: what a paper says in one sentence, and the abstract that it sums up."""

from collections import Counter

from lmjax.data.documents import SPLITS, Document, Splits
from lmjax.data.public_files import PublicFile
from lmjax.errors import UserError
from lmjax.runs.files import parse_json

SCITLDR_URL = (
    "https://raw.githubusercontent.com/allenai/scitldr/"
    "5ccad9c00a60ad75c9e04abf7f27d0f53f983b20/SciTLDR-Data/SciTLDR-A/"
)
SCITLDR = {
    name: PublicFile(f"scitldr_a/{name}.jsonl", f"{SCITLDR_URL}{name}.jsonl", sha256)
    for name, sha256 in {
        "train": "b222771d387be585cfdf5ae957b36757138415a352e0a3e3b23f73f87c3b1119",
        "dev": "3191fa98ccc09521332b7a1cd63b1930be4e8df125a235ccd31e40329709525e",
        "test": "fb42dd6cd4f4a1928ae8a01a189456fbfe994a07e938bd49f68653933f6503c9",
    }.items()
}
SCITLDR_PAPERS = {"train": 1_992, "dev": 619, "test": 618}


def read_scitldr() -> tuple[Splits, Counter]:
    """SciTLDR-A (Cachola et al. 2020): a paper's abstract, and its first TLDR, the authors' own.

    Papers of dev and test have further ones, by others, which are further references. Each run of
    whitespace is one blank.
    """
    splits: Splits = {}
    report: Counter = Counter()
    for split, (name, count) in zip(SPLITS, SCITLDR_PAPERS.items(), strict=True):
        lines = SCITLDR[name].read().decode().splitlines()
        if len(lines) != count:
            raise UserError(f"scitldr has {len(lines):,} papers in {name}, published are {count:,}")
        splits[split] = []
        for paper in map(parse_json, map(str.encode, lines)):
            text, *further = map(_one_line, paper["target"])
            source = _one_line(" ".join(paper["source"]))
            document = Document(paper["paper_id"], text, source, further_references=tuple(further))
            splits[split].append(document)
            report["further_references"] += len(further)
    report["pairs"] = sum(SCITLDR_PAPERS.values())
    return splits, report


def _one_line(text: str) -> str:
    return " ".join(text.split())
