"""The corpus `text`: the user's own .txt, .md and .jsonl files, optionally gzipped."""

import glob
import os
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from lmjax.data.documents import Document, Splits, split_files
from lmjax.data.reading import check_encoding, decode, read_bytes
from lmjax.errors import UserError
from lmjax.runs.files import parse_json, read_whole

SUFFIXES = (".txt", ".md", ".jsonl")


def matching_files(pattern: str, option: str = "data.files") -> list[Path]:
    """The files that a path names, or a glob in which `**` stands for any folders, sorted.

    A folder stands for all files below it that can be read. A file that can be reached by several
    paths, by links, is there once, by the shortest. Raises UserError if there are none, or if a
    glob names one that is neither .txt, .md nor .jsonl (.gz).
    """
    if not pattern:
        raise UserError(
            "the corpus 'text' needs data.files: a folder or a glob such as 'notes/**/*.txt'"
        )
    named = os.path.expanduser(pattern)
    if os.path.isdir(named):
        below = glob.glob(os.path.join(glob.escape(named), "**", "*"), recursive=True)
        found = [path for path in below if _kind(Path(path)) in SUFFIXES]
    else:
        found = [named] if os.path.exists(named) else glob.glob(named, recursive=True)
        found = found or glob.glob(named.replace("[", "[[]"), recursive=True)
    shortest: dict[str, str] = {}
    for path in sorted(found, key=lambda path: (len(path), path)):
        if not os.path.isdir(path):
            shortest.setdefault(os.path.realpath(path), path)
    files = sorted(map(Path, shortest.values()))
    if not files:
        raise UserError(f"no file matches {option} {pattern!r}; quote the glob, check the folder")
    for path in files:
        if _kind(path) not in SUFFIXES:
            raise UserError(
                f"{shown(path)} is not {', '.join(SUFFIXES)} (or those + .gz); narrow the glob"
            )
    return files


def shown(path: Path | str) -> str:
    """A path as text: bytes of it that are no UTF-8 as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def files_digest(files: list[Path]) -> str:
    """A digest of the names and contents of the files, as they are stored."""
    digest = sha256()
    for name, path in _named(files):
        digest.update(f"{name}\n{content_digest(path)}\n".encode())
    return digest.hexdigest()


def content_digest(path: Path) -> str:
    """A digest of a file's content, as it is stored."""
    return sha256(read_whole(path)).hexdigest()


def read_text_files(files: list[Path], invalid_utf8: str) -> tuple[Splits, Counter]:
    """The documents of the files in splits, and what was counted and changed on the way.

    Raises UserError for a file that cannot be read as text, and if there is too little text for
    three splits.
    """
    report = Counter(files=len(files))
    read = [list(_read_file(name, path, invalid_utf8, report)) for name, path in _named(files)]
    with_text = [[document for document in file if document.text] for file in read]
    documents = sum(map(len, with_text))
    report["empty_documents"] = sum(map(len, read)) - documents
    if not documents:
        names = ", ".join(map(shown, files[:3]))
        raise UserError(f"the corpus is empty: no text in {names}; add files")
    splits, how = split_files(with_text)
    for split, part in splits.items():
        if not part:
            raise UserError(
                f"too little text: {documents} documents leave nothing for {split}; add files"
            )
    report.update(how)
    return splits, report


def read_documents_of(pattern: str, option: str) -> list[Document]:
    """The documents with text of a path, folder or glob that an `option` names, in their order.

    Raises UserError if there are none, and for a file that cannot be read as text.
    """
    files = matching_files(pattern, option)
    read = [_read_file(name, path, "strict", Counter()) for name, path in _named(files)]
    documents = [document for file in read for document in file if document.text]
    if not documents:
        raise UserError(f"there is no text in {pattern!r}; give files of text")
    return documents


def _kind(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def _named(files: list[Path]) -> list[tuple[str, Path]]:
    """Each file with its path, as text, below the folder that all of them share."""
    folder = os.path.commonpath([path.absolute().parent for path in files])
    return [(shown(path.absolute().relative_to(folder).as_posix()), path) for path in files]


def _read_file(name: str, path: Path, invalid_utf8: str, report: Counter) -> Iterator[Document]:
    content = read_bytes(path)
    report["bytes"] += len(content)
    check_encoding(content, shown(path))
    text = decode(content, shown(path), invalid_utf8, report)
    if _kind(path) != ".jsonl":
        yield Document(name, text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            source = f"{shown(path)}, line {number}"
            encoded = _text_field(line, source).encode("utf-8", "surrogatepass")
            yield Document(f"{name}:{number}", decode(encoded, source, invalid_utf8, report))


def _text_field(line: str, source: str) -> str:
    try:
        fields = parse_json(line.encode(), lenient=True)
    except ValueError as error:
        raise UserError(f"{source}: not JSON ({error}); one object a line is needed") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
        raise UserError(f'{source}: no text; each line must look like {{"text": "..."}}')
    return fields["text"]
