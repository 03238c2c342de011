"""What must not stand in a file or a message that others may read."""

import os
import re
from collections.abc import Callable
from typing import Any

# Of variables: AUTH, but not AUTHOR; TOKEN, but neither TOKENIZERS nor MAX_TOKENS.
SECRET_NAME = re.compile(
    r"TOKEN(?!IZ|S)|SECRET|PASSWORD|API_?KEY|ACCESS_?KEY|CREDENTIAL|AUTH(?!OR)", re.IGNORECASE
)
SHORTEST = 8  # characters: a shorter value is more often a word of the text than a secret
USER_OF_URL = re.compile(r"(?<=://)[^/?#\s@]+@")


def redact(text: str) -> str:
    """`text` with `***` for secrets in the environment's variables and for the users in URLs."""
    return redactor()(text)


def redactor() -> Callable[[str], str]:
    """`redact` for many texts: the environment is looked through but once, now."""
    secrets = {
        value
        for name, value in os.environ.items()
        if SECRET_NAME.search(name) and len(value) >= SHORTEST
    }
    longest_first = sorted(secrets, key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in longest_first:
            text = text.replace(secret, "***")
        return USER_OF_URL.sub("***@", text)

    return hide


def redacted(value: Any, redact: Callable[[str], str] | None = None) -> Any:
    """`value`, which JSON can say, with its texts redacted; keys and numbers stay."""
    redact = redact or redactor()
    if isinstance(value, dict):
        return {key: redacted(item, redact) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item, redact) for item in value]
    return redact(value) if isinstance(value, str) else value
