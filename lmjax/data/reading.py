"""From a file's bytes to text: compression, UTF-8, byte order marks and line ends."""

import codecs
import gzip
import zlib
from collections import Counter
from pathlib import Path

from lmjax.errors import UserError, nearest

INVALID_UTF8 = {"strict": "strict", "replace": "replace", "skip": "ignore"}


def stored_bytes(path: Path) -> bytes:
    """A file's content as it is stored; raises UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; make it readable") from error


def read_bytes(path: Path) -> bytes:
    """A file's content, decompressed if its name ends in `.gz`.

    Raises UserError if it cannot be read or decompressed.
    """
    content = stored_bytes(path)
    try:
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file ({error}); fetch it again") from error


def check_invalid_utf8(choice: str) -> None:
    """Raises UserError, with the nearest, for what is no choice of `data.invalid_utf8`."""
    if choice not in INVALID_UTF8:
        raise UserError(f"unknown data.invalid_utf8 {choice!r}: {nearest(choice, INVALID_UTF8)}")


def decode(content: bytes, source: str, invalid_utf8: str, report: Counter) -> str:
    """`content` as text with `\\n` line ends and no byte order mark; NUL is kept like any other.

    What was changed is counted in `report`. Invalid UTF-8 raises a UserError that names `source`
    and the byte if `invalid_utf8` is `strict`; `replace` puts U+FFFD and `skip` nothing in its
    place.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        if invalid_utf8 == "strict":
            raise UserError(
                f"{source}: invalid UTF-8 at byte {error.start} ({error.reason}); mend the file "
                "or set data.invalid_utf8 to replace or skip"
            ) from error
        report["invalid_bytes"] += len(content) - len(content.decode("utf-8", "ignore").encode())
        text = content.decode("utf-8", INVALID_UTF8[invalid_utf8])
    if content.startswith(codecs.BOM_UTF8):
        report["byte_order_marks"] += 1
        text = text[1:]
    report["carriage_returns"] += text.count("\r\n")
    return text.replace("\r\n", "\n")
