"""Tokenizers: text comes back from its tokens and from the file, and nothing is mistaken."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.config import base_config
from lmjax.data import bpe_tokenizer as byte_pairs
from lmjax.data import tokenizer
from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.tokenizer import split_text
from lmjax.data.tokenizer_choice import train_tokenizer
from lmjax.data.tokenizer_registry import load_tokenizer, tokenizer_from_json
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.errors import UserError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
corpora = st.lists(texts, min_size=1, max_size=4)
PROSE = "the cat sat on the mat\nand the dog, too\n" * 5

TOKENIZERS = [
    ByteTokenizer(False),
    ByteTokenizer(True),
    CharacterTokenizer.train([PROSE], False, closed=True),
    CharacterTokenizer.train([PROSE], True, closed=False),
    WordTokenizer.train([PROSE], 0, closed=True),
    WordTokenizer.train([PROSE], 5, closed=False),
    BytePairTokenizer.train([PROSE], 270, False),
    BytePairTokenizer.train([PROSE], 270, True),
]


def name(one):
    return f"{one.kind}-{one.vocabulary_size}"


def normalized(text):
    """What the word tokenizer keeps of a text: its words and its line ends."""
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))


@given(texts, st.booleans())
def test_bytes_come_back(text, document_end):
    ids = ByteTokenizer(document_end).encode(text)
    assert ids.dtype == np.int32 and list(ids) == list(text.encode())
    assert ByteTokenizer(document_end).decode(ids) == text


@given(corpora, st.booleans())
def test_characters_come_back(corpus, document_end):
    made = CharacterTokenizer.train(corpus, document_end, closed=True)
    assert made.vocabulary_size == len(set("".join(corpus))) + document_end
    for text in corpus:
        ids = made.encode(text)
        assert ids.dtype == np.int32 and len(ids) == len(text)
        assert made.decode(ids) == text


@given(corpora)
def test_words_come_back(corpus):
    made = WordTokenizer.train(corpus, 0, closed=True)
    for text in corpus:
        ids = made.encode(text)
        assert ids.dtype == np.int32 and len(ids) == len(text.split()) + text.count("\n")
        assert made.decode(ids) == normalized(text)


@given(texts)
def test_byte_pairs_come_back(text):
    for made in TOKENIZERS[-2:]:
        ids = made.encode(text)
        assert ids.dtype == np.int32 and made.decode(ids) == text


@given(st.text("ab \n\t,\x1cé", max_size=60), st.integers(1, 9))
def test_pieces_of_a_text_are_the_text(text, size):
    for keep_words in (False, True):
        pieces = list(split_text(text, size, keep_words=keep_words))
        assert "".join(pieces) == text and all(pieces)
    assert sum(len(piece.split()) for piece in pieces) == len(text.split())


@pytest.mark.parametrize("made", TOKENIZERS, ids=name)
def test_long_texts_are_encoded_in_pieces_without_a_difference(made, monkeypatch):
    whole = made.encode(PROSE)
    monkeypatch.setattr(byte_pairs, "LONG_WORD", 7)
    monkeypatch.setattr(tokenizer.split_text, "__defaults__", (7,))
    assert len(list(made.text_pieces(PROSE))) > 5
    np.testing.assert_array_equal(made.encode(PROSE), whole)


def test_text_without_spaces_is_cut_before_a_mark(monkeypatch):
    text = "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。" * 5 + "it's_so...!"
    made = BytePairTokenizer.train([text], 400, False)
    whole = made.encode(text)
    monkeypatch.setattr(byte_pairs, "LONG_WORD", 7)
    assert len(list(made.text_pieces(text))) > 5
    np.testing.assert_array_equal(made.encode(text), whole)


def test_a_word_longer_than_any_piece_comes_back():
    text = "x" * 10_000 + " y"
    made = BytePairTokenizer.train([text], 270, False)
    assert made.decode(made.encode(text)) == text
    words = WordTokenizer.train([text], 0, closed=True)
    assert words.vocabulary_size == 3


@pytest.mark.parametrize("made", TOKENIZERS, ids=name)
def test_a_file_holds_the_whole_tokenizer(made, tmp_path):
    made.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert loaded == made
    assert loaded.encode(PROSE).tolist() == made.encode(PROSE).tolist()
    assert tokenizer_from_json(made.to_json()) == made


@given(corpora)
def test_a_character_file_holds_any_character(corpus):
    made = CharacterTokenizer.train(corpus, False, closed=True)
    assert tokenizer_from_json(made.to_json()) == made


@pytest.mark.parametrize("made", TOKENIZERS, ids=name)
def test_ids_are_within_the_vocabulary(made):
    special = [made.start_id, made.end_id, made.unknown_id, made.newline_id]
    for i in [*made.encode(PROSE), *(i for i in special if i is not None)]:
        assert 0 <= i < made.vocabulary_size
    assert made.decode(range(made.vocabulary_size)) is not None


def test_the_start_token_is_eos_else_a_line_end_else_the_first():
    assert ByteTokenizer(True).start_id == 256
    assert ByteTokenizer(False).start_id == ord("\n")
    assert CharacterTokenizer("\tab\n", False, False).start_id == 3
    assert CharacterTokenizer("ab", False, False).start_id == 0
    assert CharacterTokenizer("ab", True, True).start_id == 3
    assert WordTokenizer(("a",), False).start_id == 0
    pairs = BytePairTokenizer.train([PROSE], 0, False)
    assert pairs.decode([pairs.start_id]) == "\n"


def test_eos_is_read_as_a_line_end_and_never_written_by_text():
    for made in TOKENIZERS[:2] + TOKENIZERS[-2:]:
        ids = made.encode("<eos>")
        assert made.end_id not in ids and made.decode(ids) == "<eos>"
    for made in TOKENIZERS:
        if made.end_id is not None:
            assert made.decode([*made.encode("the"), made.end_id]) == "the\n"
    words = WordTokenizer.train(["<eos> a\n"], 0, closed=True)
    assert words.encode("<eos>\n")[0] != words.end_id


def test_a_character_outside_the_vocabulary_is_named():
    made = CharacterTokenizer.train(["abc"], False, closed=True)
    for encode in (made.encode, made.encode_prompt):
        with pytest.raises(UserError, match="'é'"):
            encode("abécd")


def test_characters_have_unk_unless_the_vocabulary_is_closed():
    assert CharacterTokenizer.train(["abc"], False, closed=True).unknown_id is None
    made = CharacterTokenizer.train(["abc"], False, closed=False)
    assert made.vocabulary_size == 4
    assert made.encode("adc\U0010ffff").tolist() == [0, 3, 2, 3]
    assert made.decode([0, 3]) == "a\ufffd"
    with pytest.raises(UserError, match="'d'"):
        made.encode_prompt("ad")


@given(texts, texts)
def test_exactly_the_characters_outside_become_unknown(text, other):
    made = CharacterTokenizer.train([text], False, closed=False)
    unknown = made.encode(other) == made.unknown_id
    assert unknown.tolist() == [character not in text for character in other]


def test_words_have_unk_unless_the_vocabulary_is_closed_and_has_room():
    assert WordTokenizer.train(["a b"], 0, closed=True).unknown_id is None
    assert WordTokenizer.train(["a b"], 3, closed=True).unknown_id is None
    assert WordTokenizer.train(["a b c"], 3, closed=True).unknown_id == 1
    assert WordTokenizer.train(["a b"], 0, closed=False).unknown_id == 1
    for encode in ("encode", "encode_prompt"):
        with pytest.raises(UserError, match="'c'"):
            getattr(WordTokenizer.train(["a b"], 0, closed=True), encode)("a c")


def test_unk_in_the_text_is_a_word_and_not_the_unknown_one():
    made = WordTokenizer.train(["a <unk> b a"], 0, closed=False)
    assert made.words == ("a", "<unk>", "b") and made.vocabulary_size == 5
    assert made.encode("a <unk> zebra").tolist() == [2, 3, 1]
    assert made.decode([2, 3, 0, 4]) == "a <unk>\nb"
    closed = WordTokenizer.train(["a <unk> b a"], 0, closed=True)
    assert closed.vocabulary_size == 4 and closed.unknown_id is None
    assert closed.encode_prompt("a <unk>").tolist() == [1, 2]


def test_unk_may_be_typed_where_a_word_can_be_unknown():
    made = WordTokenizer.train(["a b"], 0, closed=False)
    assert made.encode_prompt("a <unk>").tolist() == [2, 1]
    with pytest.raises(UserError, match="'zebra' is not among the 2 words .* or write <unk>"):
        made.encode_prompt("a zebra")


def test_files_that_took_unk_for_unknown_still_do():
    fields = {"kind": "word", "words": ["a", "b"], "has_unknown": True}
    made = tokenizer_from_json(fields)
    assert made.vocabulary_size == 4 and made.encode("a <unk> zebra b").tolist() == [2, 1, 1, 3]


def test_a_small_vocabulary_keeps_the_most_frequent_words():
    made = WordTokenizer.train(["c b a a b a d"], 4, closed=True)
    assert made.vocabulary_size == 4 and made.words == ("a", "b")
    assert made.encode("a b c d").tolist() == [2, 3, 1, 1]


def test_byte_pairs_fill_the_vocabulary_and_shorten_the_text():
    for document_end in (False, True):
        made = BytePairTokenizer.train([PROSE * 3], 264, document_end)
        assert made.vocabulary_size == 264
    assert len(made.encode(PROSE)) < len(PROSE)
    assert made == BytePairTokenizer.train([PROSE * 3], 264, True)


def test_half_of_a_surrogate_pair_is_refused():
    for made in (TOKENIZERS[0], TOKENIZERS[-1]):
        with pytest.raises(UserError, match="surrogate"):
            made.encode("a\udc80")


@pytest.mark.parametrize(
    ("tokenizer", "size", "message"),
    [
        ("bytes", 0, "byte"),
        ("byte", 300, "no size"),
        ("character", 300, "no size"),
        ("word", 1, "more than 2"),
        ("word", -5, "more than 2"),
        ("bpe", 100, "at least 256"),
    ],
)
def test_impossible_tokenizers_are_refused(tokenizer, size, message):
    data = base_config().data
    data.tokenizer, data.vocabulary_size = tokenizer, size
    with pytest.raises(UserError, match=message):
        train_tokenizer(data, [PROSE])


@pytest.mark.parametrize(
    ("made", "change", "message"),
    [
        (TOKENIZERS[0], {"document_end": 1}, "'document_end' should be: true or false, not 1"),
        (TOKENIZERS[2], {"characters": "aba"}, "the characters of a character tokenizer repeat"),
        (TOKENIZERS[4], {"words": ["a", 2]}, "what is in words' should be: text, not 2"),
        (TOKENIZERS[4], {"words": ["a", "a"]}, "the words of a word tokenizer repeat"),
        (TOKENIZERS[4], {"size": 3}, "a word tokenizer has the fields words, has_unknown alone"),
        (TOKENIZERS[6], {"model": "{}"}, "'model' should be: object, not None"),
    ],
)
def test_fields_that_a_tokenizer_has_not_are_named(made, change, message):
    with pytest.raises(UserError, match=message):
        tokenizer_from_json({**made.to_json(), **change})


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("", {"padding": {"strategy": "BatchLongest"}}, "have a 'padding' of their own"),
        ("", {"normalizer": {"type": "Lowercase"}}, "have a 'normalizer' of their own"),
        ("", {"later": 1}, "have a 'later' of their own"),
        ("model", {"dropout": 0.5}, "have a 'dropout' of their own"),
        ("model", {"merges": [["t", "zz"]]}, "a merge of the byte pairs"),
        ("model", {"merges": [["t"]]}, "a merge of the byte pairs"),
        ("model", {"merges": ["t h"]}, "should be: list"),
        ("model", {"vocab": {"a": 0}}, "no entry for some byte"),
        ("model", {"vocab": {"a": 1}}, "do not count from 0"),
        ("model", {"vocab": {"a": -1}}, "should be: count, not -1"),
    ],
)
def test_byte_pairs_are_such_as_lmjax_makes_them(section, change, message):
    made = TOKENIZERS[6]
    model = json.loads(made.model)
    (model[section] if section else model).update(change)
    with pytest.raises(UserError, match=message):
        tokenizer_from_json({**made.to_json(), "model": json.dumps(model)})


def test_byte_pairs_of_a_library_that_said_less_are_read():
    made = TOKENIZERS[6]
    model = json.loads(made.model)
    del model["model"]["ignore_merges"]
    read = tokenizer_from_json({**made.to_json(), "model": json.dumps(model)})
    assert read.encode(PROSE).tolist() == made.encode(PROSE).tolist()


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "wrd"}', '{"kind": "word", "size": 3}'])
def test_a_damaged_file_is_refused(content, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(UserError):
        load_tokenizer(path)
    with pytest.raises(UserError, match="cannot read"):
        load_tokenizer(tmp_path / "missing.json")


@pytest.mark.parametrize("made", TOKENIZERS, ids=name)
def test_ids_that_are_said_to_count_from_the_most_frequent_token_do(made):
    """But for the first, of ends of lines and of what is unknown; no other tokenizer says so."""
    assert made.ids_by_frequency == (made.kind == "word")
    if made.ids_by_frequency:
        counts_V = np.bincount(made.encode(PROSE), minlength=made.vocabulary_size)
        of_words_V = counts_V[1 + made.has_unknown :]
        assert len(of_words_V) > 2 and (np.diff(of_words_V) <= 0).all()
