"""Texts that may be shown in the place of a source, such as what back-translation makes of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lmjax.data.reading import check_encoding, decode, read_bytes
from lmjax.errors import UserError
from lmjax.runs.files import parse_json

SHAPE = '{"source": "...", "paraphrases": ["...", ...]}'


def read_paraphrases(file: str) -> dict[str, list[str]]:
    """The paraphrases of each source, of a .jsonl with a source and some paraphrases a line.

    In place of `paraphrases` a line may have one text as `prediction`, as a model writes it. Lines
    of one source add up. Raises UserError, naming the line, for what is neither, and for an empty
    text.
    """
    path = Path(file).expanduser()
    content = read_bytes(path)
    check_encoding(content, str(path))
    text = decode(content, str(path), "strict", Counter())
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        source, paraphrases = _of_line(line, f"line {number} of {path}")
        found.setdefault(source, []).extend(paraphrases)
    return found


def paraphrases_of(
    sources: Sequence[str], found: dict[str, list[str]], file: str
) -> dict[int, list[str]]:
    """The paraphrases of those sources that have some, by their places; blanks around say nothing.

    Raises UserError if none has.
    """
    keys = [source.strip() for source in sources]
    matched = {place: found[key] for place, key in enumerate(keys) if key in found}
    if not matched:
        raise UserError(
            f"none of the {len(found):,} sources in data.paraphrases {file!r} is a source of the "
            "training split, as it is after data.cleaning; see that it was made of this corpus"
        )
    return matched


def _of_line(line: str, place: str) -> tuple[str, list[str]]:
    try:
        fields = parse_json(line.encode(), lenient=True)
    except ValueError as error:
        raise UserError(f"{place} is not JSON ({error}); it needs {SHAPE}") from error
    fields = fields if isinstance(fields, dict) else {}
    source, texts = fields.get("source"), fields.get("paraphrases", [fields.get("prediction")])
    if not isinstance(source, str) or not isinstance(texts, list):
        raise UserError(f"{place} must look like {SHAPE}")
    texts = [text.strip() if isinstance(text, str) else "" for text in texts]
    if not texts or not all(texts):
        raise UserError(f"{place} has no paraphrase, or an empty one; it must look like {SHAPE}")
    return source.strip(), texts
