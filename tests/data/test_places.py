"""Where tokens stand in a text, and that an answer's characters come back from its tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.id_tokenizer import IdTokenizer
from lmjax.data.spans import characters_of, tokens_of
from lmjax.data.tokenizer import split_text
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, with_special_tokens
from lmjax.errors import UserError
from lmjax.runs.files import to_json
from tests.data.unigram_files import t5_json
from tests.data.wordpiece_files import PROSE, wordpiece

TEXT = "The cat's  naïve 床床 cat, unbelievable!\n\n\tÉté 😀 — at last"
WHOLE = [  # whose tokens are all of a text
    ByteTokenizer(False),
    CharacterTokenizer.train([PROSE], False, closed=False),
    BytePairTokenizer.train([PROSE], 270, False),
]
texts = st.text(st.sampled_from("cat s,éß床😀\n\u3000"), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "unigram.json").write_text(to_json(t5_json()))
    word = WordTokenizer.train([PROSE], 0, closed=False)
    return [
        *WHOLE,
        word,
        wordpiece(folder),
        read_tokenizer_file(str(folder / "unigram.json"), True),
        with_special_tokens(WHOLE[2], ("separator",)),
        PairTokenizer(word, WHOLE[0]).source,
    ]


@given(text=texts)
def test_each_token_begins_at_a_character(every_kind, text):
    for tokenizer in every_kind:
        places_N = tokenizer.places(text)
        assert places_N.dtype == np.int64 and len(places_N) == len(tokenizer.encode(text))
        assert (np.diff(places_N) >= 0).all()
        assert ((places_N >= 0) & (places_N < len(text))).all()


@pytest.mark.parametrize("tokenizer", WHOLE, ids=lambda one: one.kind)
@given(text=texts)
def test_what_stands_before_a_token_is_the_text_before_its_place(tokenizer, text):
    ids_N, places_N = tokenizer.encode(text), tokenizer.places(text)
    for place in np.unique(places_N):
        before = tokenizer.decode(ids_N[: np.searchsorted(places_N, place)])
        assert len(before) == place


def test_places_of_words_and_of_pieces(every_kind):
    word, pieces = every_kind[3], every_kind[4]
    text = " the  cats\n床é the"
    assert word.places(text).tolist() == [1, 6, 10, 11, 14]
    shown = " ".join(pieces.pieces[i] for i in pieces.encode(text))
    assert shown == "the cat ##s 床 e the"
    assert pieces.places(text).tolist() == [1, 6, 9, 11, 12, 14]


def test_places_of_a_long_text_go_on_from_piece_to_piece(monkeypatch):
    text = "the cat sat " * 40
    whole = [tokenizer.places(text) for tokenizer in WHOLE]
    monkeypatch.setattr(split_text, "__defaults__", (50,))
    monkeypatch.setattr("lmjax.data.bpe_tokenizer.LONG_WORD", 50)
    for tokenizer, expected_N in zip(WHOLE, whole, strict=True):
        assert len(list(tokenizer.text_pieces(text))) > 5
        assert tokenizer.places(text).tolist() == expected_N.tolist()


def test_ids_stand_at_no_places():
    with pytest.raises(UserError, match="ids tokenizer stand at no places"):
        IdTokenizer(3).places("1 2")


def test_words_of_a_text_come_back_from_their_tokens(every_kind):
    begins = [0, *(i + 1 for i, letter in enumerate(TEXT) if letter.isspace())]
    for tokenizer in every_kind:
        places_N = tokenizer.places(TEXT)
        for begin in begins:
            for end in range(begin + 1, len(TEXT) + 1):
                if TEXT[begin].isspace() or TEXT[end - 1].isspace():
                    continue
                if end < len(TEXT) and not TEXT[end].isspace():
                    continue
                found = characters_of(TEXT, places_N, *tokens_of(places_N, begin, end))
                assert found == (begin, end), (tokenizer.kind, TEXT[begin:end])


@pytest.mark.parametrize("tokenizer", WHOLE[:2], ids=lambda one: one.kind)
@given(text=texts, data=st.data())
def test_any_characters_come_back_from_bytes_and_characters(tokenizer, text, data):
    begin = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(begin + 1, len(text)))
    if not text[begin:end].strip() or text[begin:end] != text[begin:end].strip():
        return
    places_N = tokenizer.places(text)
    assert characters_of(text, places_N, *tokens_of(places_N, begin, end)) == (begin, end)


@given(text=texts, data=st.data())
def test_the_tokens_of_an_answer_hold_all_of_it(every_kind, text, data):
    begin = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(begin + 1, len(text)))
    if text[begin:end] != text[begin:end].strip() or not text[begin:end]:
        return
    for tokenizer in every_kind:
        places_N = tokenizer.places(text)
        if not len(places_N):
            continue
        found_begin, found_end = characters_of(text, places_N, *tokens_of(places_N, begin, end))
        assert found_begin <= begin and end <= found_end, tokenizer.kind


def test_an_answer_has_all_tokens_of_its_characters_and_no_token_ends_within_one():
    places_N = WHOLE[0].places("床 é😀")  # of 3, 1, 2 and 4 bytes
    assert tokens_of(places_N, 0, 1) == (0, 2)
    assert tokens_of(places_N, 2, 4) == (4, 9)
    assert characters_of("床 é😀", places_N, 1, 1) == (0, 1)
    assert characters_of("床 é😀", places_N, 1, 6) == (0, 4)
    assert characters_of("床 é😀", places_N, 0, 3) == (0, 1)
