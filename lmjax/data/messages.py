"""What surrounds the text of a message of a newsgroup: its headers, its footer, what it quotes."""

import re

# As scikit-learn has them, so that numbers of texts without them can be compared.
QUOTED = re.compile(r"(writes in|writes:|wrote:|says:|said:|^In article|^Quoted from|^\||^>)")


def message_headers(text: str) -> str:
    """Without what stands before the first empty line of a message; all of it if there is none."""
    before, empty_line, after = text.partition("\n\n")
    return after if empty_line else before


def message_footers(text: str) -> str:
    """Without what follows the last line that is empty or of dashes alone, as a signature does."""
    lines = text.strip().split("\n")
    for number in reversed(range(len(lines))):
        if not lines[number].strip().strip("-"):
            return "\n".join(lines[:number]) if number else text
    return text


def message_quotes(text: str) -> str:
    """Without lines that quote another message, or say who wrote what is quoted."""
    return "\n".join(line for line in text.split("\n") if not QUOTED.search(line))
