"""The text of tokens as they are drawn."""

from lmjax.data.tokenizer import Tokenizer

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"  # how a character is decoded that still lacks bytes


def continuation(tokenizer: Tokenizer, prompt: list[int], tokens: list[int]) -> str:
    """What `tokens` add to the text of `prompt`, with the space between words."""
    return tokenizer.decode([*prompt, *tokens])[len(tokenizer.decode(prompt)) :]


def end_id_of(tokenizer: Tokenizer, data) -> int | None:
    """The token that ends a text, if training on `config.data` has shown it."""
    return tokenizer.end_id if data.document_end else None


class TextStream:
    """What tokens add to the text of a prompt, in pieces, in time linear in their number.

    All pieces together are the end of `tokenizer.decode` of the prompt with all tokens.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: list[int]):
        self._tokenizer = tokenizer
        self._before = list(prompt)  # tokens up to a place where the text was whole
        self._since: list[int] = []  # tokens after it
        self._shown = 0  # characters of their text that were given

    def push(self, tokens: list[int]) -> str:
        """The text that `tokens` add, without a last character that may lack bytes."""
        self._since += tokens
        text = self._text()
        whole = text.rstrip(INCOMPLETE)
        piece, self._shown = whole[self._shown :], len(whole)
        if self._since and whole == text:
            self._before, self._since, self._shown = self._since, [], 0
        return piece

    def end(self) -> str:
        """The rest, when no further token comes."""
        return self._text()[self._shown :]

    def _text(self) -> str:
        return continuation(self._tokenizer, self._before, self._since)
