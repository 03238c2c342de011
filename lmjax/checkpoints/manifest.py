"""The manifest of a checkpoint: the digest of every file, and what arrays they hold.

It is written last: a folder without one is no checkpoint. It is looked at first: bytes that are not
those that were saved are never parsed.
"""

import os
from collections.abc import Iterable, Iterator
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import jax

from lmjax.errors import UserError
from lmjax.nn.leaves import leaf_name
from lmjax.runs.fields import check_fields, is_count, is_text
from lmjax.runs.files import read_json, to_json, write_atomically

MANIFEST = "manifest.json"


def _is_file(value: Any) -> bool:
    """Whether it is what the manifest says of a file: its size and its digest."""
    return isinstance(value, list) and list(map(type, value)) == [int, str]


EXPECTED = {
    "files": {...: _is_file},
    "leaves": {...: is_text},
    "needs": [is_count],
    "sha256": is_text,
}


class Damaged(Exception):
    """A checkpoint's files are not those that were saved."""


def write_manifest(folder: Path, leaves: dict[str, str], needs: Iterable[int] = ()) -> None:
    """Vouches for all files in `folder`, which hold the arrays described by `leaves`.

    `needs` are the steps of other checkpoints without which this one is not all of its run.
    """
    files = {path.relative_to(folder).as_posix(): _measured(path) for path in _files(folder)}
    content = {"files": files, "leaves": leaves, "needs": sorted(needs)}
    write_atomically(folder / MANIFEST, to_json({**content, "sha256": _digest(content)}, indent=1))


def verified_leaves(folder: Path) -> dict[str, str]:
    """The description of the arrays in `folder`, all of whose files are as they were saved.

    Raises Damaged, naming the file and how it differs.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        check_fields(manifest, EXPECTED, MANIFEST)
        content = {name: manifest[name] for name in ("files", "leaves", "needs")}
        if manifest["sha256"] != _digest(content):
            raise Damaged(f"{MANIFEST} has other content than was saved")
    except (UserError, OSError) as error:
        raise Damaged(f"{MANIFEST} is not readable") from error
    there = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    for name in sorted(there.keys() ^ content["files"].keys()):
        raise Damaged(f"{name} is {'not one of its files' if name in there else 'missing'}")
    for name, (size, digest) in content["files"].items():
        try:
            found = _measured(there[name])
        except OSError as error:
            raise Damaged(f"{name} is not readable") from error
        if found[0] != size:
            raise Damaged(f"{name} has {found[0]:,} bytes, not {size:,}")
        if found[1] != digest:
            raise Damaged(f"{name} has other bytes than were saved")
    return content["leaves"]


def needed_steps(folder: Path) -> set[int]:
    """The steps that `write_manifest` was told of; none if the manifest is damaged."""
    try:
        manifest = read_json(folder / MANIFEST)
        check_fields(manifest, EXPECTED, MANIFEST)
    except (UserError, OSError):
        return set()
    return set(manifest["needs"])


def described(tree: Any) -> dict[str, str]:
    """Each leaf of a tree of arrays with its dtype and shape, as `float32[2,3]`."""
    return {
        leaf_name(path): f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _files(folder: Path) -> Iterator[Path]:
    """The regular files in a folder and those below it, but for the manifest and hidden ones."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(parent, name) for name in sorted(names)):
            seen = path.name != MANIFEST and not path.name.startswith(".")
            if seen and path.is_file() and not path.is_symlink():
                yield path


def _measured(path: Path) -> tuple[int, str]:
    with open(path, "rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _digest(content: Any) -> str:
    return sha256(to_json(content).encode()).hexdigest()
