"""The one exception that a user's mistake raises, and the search for what was probably meant."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that its message says how to mend; printed without a traceback."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped `name`: the closest of `known`, then all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}(known: {', '.join(known)})"
