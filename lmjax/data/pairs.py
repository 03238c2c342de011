"""Corpora of pairs: texts to be predicted, and their sources."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lmjax.data.documents import SPLITS, Document, Splits, split_of
from lmjax.data.public_files import PublicFile
from lmjax.data.reading import check_encoding, decode, read_bytes
from lmjax.errors import UserError, nearest
from lmjax.runs.files import parse_json

Pair = tuple[str, str]  # source, target
TAB_SEPARATED, JSON_LINES = (".tsv", ".tsv.gz"), (".jsonl", ".jsonl.gz")

MULTI30K_URL = (
    "https://raw.githubusercontent.com/multi30k/dataset/"
    "a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/"
)
MULTI30K = {
    name: PublicFile(f"multi30k/{name}", f"{MULTI30K_URL}{name}.gz", sha256)
    for name, sha256 in {
        "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
        "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
        "val.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
        "val.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
        "test_2016_flickr.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
        "test_2016_flickr.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    }.items()
}
MULTI30K_PAIRS = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}
FRENCH_ENGLISH = PublicFile(
    "fra_eng/fra.txt",
    "https://raw.githubusercontent.com/genimind/seq2seq/"
    "4f3f8eb0adde54fcc8b89394336b002e7961244c/fra-eng.zip",
    "2546838ae46e0eac4c02ab7032ea0a02a006074a5340077a36a9444f41e02888",
)
FRENCH_ENGLISH_PAIRS = 142_787


def languages(direction: str, known: tuple[str, ...]) -> tuple[str, str]:
    """Source and target language of a direction such as `de-en`; the first known if it is empty.

    Raises UserError for a direction that the corpus does not have.
    """
    direction = direction or known[0]
    if direction not in known:
        raise UserError(f"unknown data.direction {direction!r}: {nearest(direction, known)}")
    source, target = direction.split("-")
    return source, target


def read_multi30k(source: str, target: str) -> tuple[Splits, Counter]:
    """Multi30k's descriptions of pictures (Elliott et al. 2016); test is test_2016_flickr."""
    splits: Splits = {}
    for split, (name, count) in zip(SPLITS, MULTI30K_PAIRS.items(), strict=True):
        sides = [
            [line.strip() for line in _lines(MULTI30K[f"{name}.{language}"].read().decode())]
            for language in (source, target)
        ]
        pairs = list(zip(*sides, strict=True))
        if len(pairs) != count:
            raise UserError(f"multi30k has {len(pairs):,} pairs in {name}, published are {count:,}")
        splits[split] = [Document(f"{name}:{i}", t, s) for i, (s, t) in enumerate(pairs, start=1)]
    return splits, Counter(pairs=sum(MULTI30K_PAIRS.values()))


def read_french_english(source: str) -> tuple[Splits, Counter]:
    """Short sentences of Tatoeba, English and French, split so that no source is in two splits."""
    lines = _lines(FRENCH_ENGLISH.read().decode())
    pairs = [tuple(line.split("\t")) for line in lines]
    if len(pairs) != FRENCH_ENGLISH_PAIRS:
        raise UserError(f"fra_eng has {len(pairs):,} pairs, published are {FRENCH_ENGLISH_PAIRS:,}")
    if source == "fr":
        pairs = [(french, english) for english, french in pairs]
    return split_by_source(pairs), Counter(pairs=len(pairs))


def read_parallel(
    target_file: Path, source_file: Path | None, invalid_utf8: str
) -> tuple[Splits, Counter]:
    """The user's own pairs: two files of lines, or one of both sides, .tsv or .jsonl.

    Split so that no source is in two splits. Raises UserError, naming the line, for what does not
    pair.
    """
    report: Counter = Counter()
    lines = _read_lines(target_file, invalid_utf8, report)
    if source_file is not None:
        pairs = _paired(source_file, _read_lines(source_file, invalid_utf8, report), lines)
    elif target_file.name.endswith(TAB_SEPARATED):
        pairs = [_of_columns(line, place) for place, line in _numbered(target_file, lines)]
    else:
        pairs = [_of_fields(line, place) for place, line in _numbered(target_file, lines)]
    for number, pair in enumerate(pairs, start=1):
        for side, text in zip(("source", "target"), pair, strict=True):
            if not text:
                raise UserError(
                    f"line {number} of {target_file} has an empty {side}, so it is no pair; give "
                    "it a text or take the line out of both sides"
                )
    report["pairs"] = len(pairs)
    splits = split_by_source(pairs)
    for split, part in splits.items():
        if not part:
            raise UserError(
                f"too few pairs: {len(pairs):,} leave none for {split}; add pairs (about 100 do)"
            )
    return splits, report


def split_by_source(pairs: list[Pair]) -> Splits:
    """About 90/5/5 % of the pairs, by a hash of the source, so that none stands in two splits."""
    splits: Splits = {split: [] for split in SPLITS}
    for number, (source, target) in enumerate(pairs, start=1):
        splits[split_of(source)].append(Document(f"pair:{number}", target, source))
    return splits


def check_parallel(files: str, source_files: str) -> tuple[Path, Path | None]:
    """The files of targets and of sources; raises UserError if there are not the right ones."""
    if not files:
        raise UserError(
            "the corpus 'parallel' needs data.files: the targets, a line each, with "
            "data.source_files, or one .tsv (source, target) or .jsonl (fields source, target)"
        )
    has_both = files.endswith((*TAB_SEPARATED, *JSON_LINES))
    if has_both and source_files:
        raise UserError(f"{files} holds both sides, so data.source_files is too much; leave it out")
    if not has_both and not source_files:
        raise UserError(
            f"{files} holds the targets alone; give data.source_files, or a .tsv or .jsonl of both"
        )
    paths = [Path(name).expanduser() for name in (files, source_files) if name]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} is no file; check data.files and data.source_files")
    return paths[0], paths[1] if source_files else None


def _read_lines(path: Path, invalid_utf8: str, report: Counter) -> list[str]:
    content = read_bytes(path)
    report["bytes"] += len(content)
    check_encoding(content, str(path))
    return _lines(decode(content, str(path), invalid_utf8, report))


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _numbered(path: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, start=1):
        yield f"line {number} of {path}", line


def _paired(source_file: Path, sources: list[str], targets: list[str]) -> list[Pair]:
    if len(sources) != len(targets):
        first = min(len(sources), len(targets)) + 1
        raise UserError(
            f"{source_file} has {len(sources):,} lines and data.files {len(targets):,}: line "
            f"{first:,} is on one side alone; each line needs its pair"
        )
    return [(s.strip(), t.strip()) for s, t in zip(sources, targets, strict=True)]


def _of_columns(line: str, place: str) -> Pair:
    columns = [column.strip() for column in line.split("\t")]
    if len(columns) != 2:
        raise UserError(
            f"{place} has {len(columns)} columns; it needs two, source and target, with one tab "
            "between them"
        )
    return columns[0], columns[1]


def _of_fields(line: str, place: str) -> Pair:
    try:
        fields = parse_json(line.encode(), lenient=True)
    except ValueError as error:
        raise UserError(f"{place} is not JSON ({error}); one object a line is needed") from error
    fields = fields if isinstance(fields, dict) else {}
    values = [fields.get(name) for name in ("source", "target")]
    if not all(isinstance(value, str) for value in values):
        raise UserError(f'{place} must look like {{"source": "...", "target": "..."}}')
    return values[0].strip(), values[1].strip()
