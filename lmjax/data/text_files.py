"""The corpus `text`: the user's own .txt, .md and .jsonl files, optionally gzipped."""

import glob
import os
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from lmjax.data.documents import Document, Splits, split_documents
from lmjax.data.reading import decode, read_bytes
from lmjax.errors import UserError
from lmjax.runs.files import parse_json, read_whole

SUFFIXES = (".txt", ".md", ".jsonl")


def matching_files(pattern: str) -> list[Path]:
    """The files that a glob names, sorted; `**` stands for any folders.

    Raises UserError if there are none, or one that is neither .txt, .md nor .jsonl (.gz).
    """
    if not pattern:
        raise UserError("the corpus 'text' needs data.files, a glob such as 'notes/**/*.txt'")
    found = glob.glob(os.path.expanduser(pattern), recursive=True)
    files = sorted(Path(path) for path in found if not os.path.isdir(path))
    if not files:
        raise UserError(f"no file matches data.files {pattern!r}; quote the glob, check the folder")
    for path in files:
        if _kind(path) not in SUFFIXES:
            raise UserError(
                f"{path} is not {', '.join(SUFFIXES)} (or those + .gz); narrow the glob"
            )
    return files


def files_digest(files: list[Path]) -> str:
    """A digest of the names and contents of the files, as they are stored."""
    digest = sha256()
    for name, path in _named(files):
        digest.update(f"{name}\n{sha256(read_whole(path)).hexdigest()}\n".encode())
    return digest.hexdigest()


def read_text_files(files: list[Path], invalid_utf8: str) -> tuple[Splits, Counter]:
    """The documents of the files in splits, and what was counted and changed on the way.

    Raises UserError for a file that cannot be read as text, and if there is too little text for
    three splits.
    """
    report = Counter(files=len(files))
    documents = [
        document
        for name, path in _named(files)
        for document in _read_file(name, path, invalid_utf8, report)
    ]
    report["empty_documents"] = sum(not document.text for document in documents)
    documents = [document for document in documents if document.text]
    if not documents:
        names = ", ".join(map(str, files[:3]))
        raise UserError(f"the corpus is empty: no text in {names}; add files")
    splits = split_documents(documents)
    for split, part in splits.items():
        if not part:
            raise UserError(
                f"too little text: {len(documents)} documents leave nothing for {split}; add files"
            )
    return splits, report


def _kind(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def _named(files: list[Path]) -> list[tuple[str, Path]]:
    """Each file with its path below the folder that all of them share."""
    folder = os.path.commonpath([path.absolute().parent for path in files])
    return [(path.absolute().relative_to(folder).as_posix(), path) for path in files]


def _read_file(name: str, path: Path, invalid_utf8: str, report: Counter) -> Iterator[Document]:
    content = read_bytes(path)
    report["bytes"] += len(content)
    text = decode(content, str(path), invalid_utf8, report)
    if _kind(path) != ".jsonl":
        yield Document(name, text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            source = f"{path}, line {number}"
            encoded = _text_field(line, source).encode("utf-8", "surrogatepass")
            yield Document(f"{name}:{number}", decode(encoded, source, invalid_utf8, report))


def _text_field(line: str, source: str) -> str:
    try:
        fields = parse_json(line.encode(), allow_half_pairs=True)
    except ValueError as error:
        raise UserError(f"{source}: not JSON ({error}); one object a line is needed") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
        raise UserError(f'{source}: no text; each line must look like {{"text": "..."}}')
    return fields["text"]
