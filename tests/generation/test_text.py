"""Pieces of text as tokens come equal the text of all of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.generation.text import INCOMPLETE, TextStream, continuation

TEXT = "naïve 日本 text\n\nthe cat 😀 the  naïve cat\n" * 20
TOKENIZERS = {
    "byte": ByteTokenizer(document_end=True),
    "character": CharacterTokenizer.train([TEXT], True, closed=True),
    "word": WordTokenizer.train([TEXT], 0, closed=False),
    "bpe": BytePairTokenizer.train([TEXT], 270, True),
}


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_pieces_are_the_whole_text(tokenizer, data):
    ids = st.lists(st.integers(0, tokenizer.vocabulary_size - 1), max_size=6)
    prompt = tokenizer.encode(data.draw(st.sampled_from(["", "the", "the cat\n", "naïve 日本"])))
    chunks = data.draw(st.lists(ids, max_size=5))
    stream = TextStream(tokenizer, prompt.tolist())
    pieces = [stream.push(chunk) for chunk in chunks] + [stream.end()]
    tokens = sum(chunks, [])
    assert "".join(pieces) == continuation(tokenizer, prompt.tolist(), tokens)
    assert not any(piece.endswith(INCOMPLETE) for piece in pieces[:-1])


def test_each_token_is_decoded_a_few_times_only():
    class Counting(ByteTokenizer):
        decoded = 0

        def decode(self, ids):
            type(self).decoded += len(ids)
            return super().decode(ids)

    stream = TextStream(Counting(document_end=False), [])
    text = "".join(stream.push([97] * 10) for _ in range(1000))
    assert text == "a" * 10_000
    assert Counting.decoded < 10 * len(text)
