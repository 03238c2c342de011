"""From a file's bytes to text: compression, UTF-8, byte order marks and line ends."""

import codecs
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lmjax.errors import UserError, nearest
from lmjax.runs.files import MOST_BYTES, read_whole

SAMPLE = 1 << 16  # bytes from which UTF-16 is told
INVALID_UTF8 = {"strict": "strict", "replace": "replace", "skip": "ignore"}
WINDOW = 16 << 20  # decompressed bytes, for each of which so much must have been stored:
LEAST_STORED = WINDOW // 200  # text takes ten times that; less is a bomb


def read_bytes(path: Path) -> bytes:
    """A file's content, decompressed if its name ends in `.gz`.

    Raises UserError if it cannot be read or decompressed, or is too large, stored or decompressed.
    """
    content = read_whole(path)
    try:
        return b"".join(_decompressed(content, path)) if path.suffix == ".gz" else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file ({error}); fetch it again") from error


def _decompressed(content: bytes, path: Path) -> Iterator[bytes]:
    stored, size = io.BytesIO(content), 0
    with gzip.GzipFile(fileobj=stored) as file:
        before = stored.tell()
        while chunk := file.read(WINDOW):
            size += len(chunk)
            if size > MOST_BYTES:
                raise UserError(f"{path} decompresses to over {MOST_BYTES:,} bytes; split it")
            if len(chunk) == WINDOW and stored.tell() - before < LEAST_STORED:
                raise UserError(
                    f"{path} decompresses to over {WINDOW // LEAST_STORED} times its size; "
                    "if it is to be trusted, decompress it yourself"
                )
            before = stored.tell()
            yield chunk


def check_invalid_utf8(choice: str) -> None:
    """Raises UserError, with the nearest, for what is no choice of `data.invalid_utf8`."""
    if choice not in INVALID_UTF8:
        raise UserError(f"unknown data.invalid_utf8 {choice!r}: {nearest(choice, INVALID_UTF8)}")


def decode(content: bytes, source: str, invalid_utf8: str, report: Counter) -> str:
    """`content` as text with `\\n` line ends and no byte order mark; NUL is kept like any other.

    Carriage returns are line ends before `\\n`, and all of them where there is no `\\n`. What was
    changed is counted in `report`. Invalid UTF-8 raises a UserError that names `source`
    and the byte if `invalid_utf8` is `strict`; `replace` puts U+FFFD and `skip` nothing in its
    place.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        if invalid_utf8 == "strict":
            raise UserError(
                f"{source}: invalid UTF-8 at byte {error.start} ({error.reason}); mend the file "
                "or, of a corpus, set data.invalid_utf8 to replace or skip"
            ) from error
        report["invalid_bytes"] += len(content) - len(content.decode("utf-8", "ignore").encode())
        text = content.decode("utf-8", INVALID_UTF8[invalid_utf8])
    if content.startswith(codecs.BOM_UTF8):
        report["byte_order_marks"] += 1
        text = text[1:]
    line_end = "\r\n" if "\n" in text else "\r"
    report["carriage_returns"] += text.count(line_end)
    return text.replace(line_end, "\n")


def check_encoding(content: bytes, path: str) -> None:
    """Raises UserError for a file in UTF-16 or UTF-32, by its mark or by where its zeros stand."""
    sample = content[:SAMPLE]
    marked = sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    # Latin letters leave one byte of two, or three of four, at zero, and another one never.
    zeros, quarter = sorted(sample[i::4].count(0) for i in range(4)), len(sample) / 4
    if marked or (zeros[3] >= 8 and zeros[3] > 0.3 * quarter and zeros[0] < 0.03 * quarter):
        raise UserError(
            f"{path} is in UTF-16 or UTF-32; convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW"
        )
