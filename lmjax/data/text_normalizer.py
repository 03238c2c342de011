"""What a tokenizer.json may do to a text before it is cut, of all that the library can.

Each works in time linear in the text and gives one of bounded length.
"""

import base64
import binascii
import re
from typing import Any

import numpy as np

from lmjax.errors import UserError
from lmjax.runs.fields import check_fields, is_text, is_true_or_false

CURE = "give another file"
PLAIN = ("NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents")
SPACES, SPACE = " {2,}", (" ", "▁")  # the one regular expression that is read, and what it becomes
MOST_STEPS = 16
LONGEST = 100  # bytes that one character may become; in SentencePiece's own tables 34


def check_normalizer(section: Any) -> None:
    """Raises UserError for a `normalizer` of a tokenizer.json that is not read here.

    None, a table of characters as SentencePiece has it, a step of PLAIN, spaces that are stripped
    or made one, a text for another one that is no longer, or a sequence of these.
    """
    if section is None:
        return
    steps = [section]
    if isinstance(section, dict) and section.get("type") == "Sequence":
        steps = section.get("normalizers")
        check_fields(steps, [{"type": is_text}], "normalizer", "normalizers", cure=CURE)
    kinds = [_check_step(step) for step in steps]
    if len(kinds) > MOST_STEPS or kinds.count("Precompiled") > 1:
        raise UserError(
            f"the normalizer has {len(kinds)} steps, of which {kinds.count('Precompiled')} are a "
            f"Precompiled; at most {MOST_STEPS} and one are read; {CURE}"
        )


def _check_step(step: Any) -> str:
    """Its type, if it is one that is read."""
    check_fields(step, {"type": is_text}, "normalizer", cure=CURE)
    kind = step["type"]
    if kind == "Precompiled":
        check_fields(step, {"precompiled_charsmap": is_text}, "normalizer", cure=CURE)
        _check_charsmap(step["precompiled_charsmap"])
    elif kind == "Strip":
        sides = {"strip_left": is_true_or_false, "strip_right": is_true_or_false}
        check_fields(step, sides, "normalizer", cure=CURE)
    elif kind == "Replace":
        _check_replacement(step)
    elif kind not in PLAIN:
        raise UserError(f"a normalizer of type {kind[:80]!r} can't be read; {CURE}")
    return kind


def _check_replacement(step: dict[str, Any]) -> None:
    check_fields(step, {"pattern": {}, "content": is_text}, "normalizer", cure=CURE)
    pattern, content = step["pattern"], step["content"]
    text = pattern.get("String")
    if pattern == {"Regex": SPACES} and content in SPACE:
        return
    if len(pattern) != 1 or not is_text(text) or not text or len(content) > len(text):
        raise UserError(
            f"the normalizer replaces {str(pattern)[:80]} by {content[:80]!r}; only a text by one "
            f"that is no longer is read, and the spaces {SPACES!r} by one; {CURE}"
        )


def _check_charsmap(encoded: str) -> None:
    """Refuses a table of characters by which the library would look outside of it.

    It is the size of a double array (Aoe 1989, as in the library darts-clone), the array, and the
    texts that its values point to, each up to a NUL.
    """
    try:
        content = base64.b64decode(encoded, validate=True)
        size = int.from_bytes(content[:4], "little")
        units_N = np.frombuffer(content[4 : 4 + size], "<u4").astype(np.int64)
        texts = content[4 + size :]
        texts.decode()
        if base64.b64encode(content).decode() != encoded:
            raise ValueError("its base64 has bits beyond its end")
    except (binascii.Error, ValueError) as error:  # UnicodeDecodeError is one of these
        raise UserError(f"the normalizer's table is damaged ({error}); {CURE}") from error
    # A unit is its byte, and where its children stand: at that place xor their byte. It is a value
    # where its highest bit is set, but for the first, which is the root.
    places_N = np.arange(len(units_N)) ^ (units_N >> 10 << ((units_N & (1 << 9)) >> 6))
    is_inner_N = (units_N >> 31 == 0) | (np.arange(len(units_N)) == 0)
    is_whole = len(content) >= 4 + size and len(units_N) > 0
    if not is_whole or (places_N[is_inner_N] | 255).max(initial=0) >= len(units_N):
        raise UserError(f"the normalizer's table points outside of itself; {CURE}")
    values_K = units_N[places_N[is_inner_N & (units_N >> 8 & 1 == 1)]] & 0x7FFFFFFF
    bytes_N = np.frombuffer(texts + b"\0", np.uint8)
    if values_K.max(initial=0) >= len(bytes_N) or (bytes_N[values_K] >> 6 == 2).any():
        raise UserError(f"the normalizer's table points to no text; {CURE}")
    if re.search(rb"[^\0]{%d}" % (LONGEST + 1), texts):
        raise UserError(f"the normalizer makes over {LONGEST} bytes of one character; {CURE}")
