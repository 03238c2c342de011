"""Tokenizers of other projects: their ids are given back, and what they don't tell is counted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.data import bpe_tokenizer, tokenizer
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError
from tests.data.wordpiece_files import PIECES, PROSE, TRAINED, wordpiece

END = "<|endoftext|>"
letters = st.text("theca sun,.'床éÉSTß\n\t\x00\u0301é한\ud7ff", max_size=40)


def write_pairs(folder, names=("encoder.json", "vocab.bpe")):
    model = json.loads(TRAINED.model)["model"]
    vocabulary = {**model["vocab"], END: len(model["vocab"])}
    (folder / names[0]).write_text(json.dumps(vocabulary))
    (folder / names[1]).write_text(
        "\n".join(["#version: 0.2", *map(" ".join, model["merges"]), ""])
    )


def added(content, i, special=True):
    return {"id": i, "content": content, "special": special, "single_word": False}


def bert_json():
    return {
        "added_tokens": [added("[MASK]", 4), added("[NEW]", len(PIECES))],
        "padding": {"strategy": {"Fixed": 10**9}},
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
        | {"strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
        | {"max_input_chars_per_word": 100, "vocab": {piece: i for i, piece in enumerate(PIECES)}},
    }


def gpt2_json():
    model = json.loads(TRAINED.model)["model"]
    return {
        "added_tokens": [added(END, len(model["vocab"]))],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "model": {**model, "merges": list(map(" ".join, model["merges"]))},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizer")


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def made(request, folder):
    return wordpiece(folder, request.param)


def test_words_are_cut_into_their_longest_pieces(tmp_path):
    uncased, cased = (wordpiece(tmp_path, lowercase) for lowercase in (True, False))
    ids = uncased.encode("Unbelievable\tcats,THE dog É ß [MASK]")
    shown = ["un", "##believ", "##able", "cat", "##s", ",", "the", "[UNK]", "e", "ß"]
    assert [PIECES[i] for i in ids] == [*shown, "[UNK]", "[UNK]", "[UNK]"]
    ids = cased.encode("The THE the床é unbelievabl")
    assert [PIECES[i] for i in ids] == ["The", "[UNK]", "the", "床", "é", "[UNK]"]
    assert PIECES[cased.encode("a" * 101)[0]] == "[UNK]" and len(cased.encode("a" * 100)) == 100


def test_decoding_guesses_where_spaces_were(tmp_path):
    made = wordpiece(tmp_path)
    for text in ("the cats, sat. the床cat床", "unbelievable", "'a'", ""):
        assert made.decode(made.encode(text)) == text
    assert made.decode([2, 5, 4, 3, 6]) == "[CLS] the [MASK]\ncat"
    assert made.decode([7, 7, 3, 7]) == "##ss\n##s"


@given(letters, st.booleans())
def test_a_text_costs_nothing_beyond_its_tokens_only_if_they_give_it_back(folder, text, lowercase):
    made = wordpiece(folder, lowercase)
    untold = made.untold(text)
    assert (untold.symbols == 0) == (made.decode(made.encode(text)) == text)
    assert untold.unknowns == list(made.encode(text)).count(made.unknown_id)
    assert untold.unknown_bytes + untold.dropped_bytes <= 2 * len(text.encode()) + 1


def test_what_wordpiece_does_not_tell_is_counted(tmp_path):
    made = wordpiece(tmp_path)
    assert made.untold("the cats, a") == (0, 0, 0)
    assert made.untold("The cAts, é") == (0, 0, 2 + 2), "case and accent, by their bytes"
    assert made.untold("dog 한") == (2, 6, 0), "each also has an end"
    assert made.untold(" the  cat\n") == (0, 0, 1 + 2 + 1)
    assert made.untold("the ,cat") == (0, 0, 1 + 1), "a space too many, and a space too few"
    assert made.untold(" the", mid_line=True) == (0, 0, 0)
    assert made.untold("the e\u0301") == (0, 0, 2)
    assert made.untold(" \n") == (0, 0, 2)
    assert wordpiece(tmp_path, lowercase=False).untold("The") == (0, 0, 0)


def test_one_character_of_several_pieces_is_charged_once(tmp_path):
    jamo = ["[UNK]", "\u1112", "##\u1161", "##\u11ab"]
    made = wordpiece(tmp_path, pieces=jamo)
    assert made.encode("한").tolist() == [1, 2, 3]
    assert made.untold("한") == (0, 0, 3)


@given(letters)
def test_wordpiece_reads_pieces_of_a_text_as_the_whole(made, text):
    whole = made.encode(text).tolist()
    for size in (1, 5):
        pieces = tokenizer.split_text(text, size, keep_words=True)
        assert [i for piece in pieces for i in made.encode_piece(piece)] == whole


def test_long_texts_are_read_in_pieces_that_cut_no_word(made, monkeypatch):
    text = "unbelievable cats,\n the " * 9
    whole = made.encode(text).tolist()
    monkeypatch.setattr(tokenizer.split_text, "__defaults__", (5,))
    assert len(list(made.text_pieces(text))) > 9
    assert made.encode(text).tolist() == whole


def test_an_unknown_prompt_is_refused(made):
    assert made.encode_prompt("the cat").tolist() == [5, 6]
    with pytest.raises(UserError, match="'dog' is not made of the 24 pieces"):
        made.encode_prompt("the dog")
    with pytest.raises(UserError, match="surrogate"):
        made.encode("a\udc80")


def test_special_tokens_of_bert_have_their_roles(made):
    roles = ("padding", "unknown", "class", "separator", "mask")
    assert [made.special_id(role) for role in roles] == list(range(5))
    assert (made.start_id, made.end_id, made.unknown_id, made.newline_id) == (2, 3, 1, None)
    assert 4 not in made.encode("[MASK]") and made.special_id("sentinel_0") is None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_byte_pairs_of_a_file_are_read_as_those_learned_here(folder, text):
    write_pairs(folder)
    made = read_tokenizer_file(folder / "vocab.bpe")
    assert made.encode(text).tolist() == TRAINED.encode(text).tolist()
    assert made.decode(made.encode(text)) == text and made.untold(text).symbols == 0


def test_special_tokens_of_gpt2(tmp_path, monkeypatch):
    write_pairs(tmp_path)
    made = read_tokenizer_file(tmp_path)
    assert made.vocabulary_size == 271 and made.start_id == made.end_id == 270
    assert made.decode([*made.encode("the"), 270]) == "the\n"
    assert 270 not in made.encode(END) and made.decode(made.encode(END)) == END
    whole = made.encode(PROSE).tolist()
    monkeypatch.setattr(bpe_tokenizer, "LONG_WORD", 7)
    assert made.encode(PROSE).tolist() == whole


def test_a_folder_is_read_by_what_says_most(tmp_path):
    assert wordpiece(tmp_path).kind == "wordpiece"
    write_pairs(tmp_path, ("vocab.json", "merges.txt"))
    assert read_tokenizer_file(tmp_path).kind == "byte_pairs"
    (tmp_path / "tokenizer.json").write_text(json.dumps(bert_json()))
    assert read_tokenizer_file(tmp_path).kind == "wordpiece"
    assert read_tokenizer_file(tmp_path / "merges.txt").kind == "byte_pairs"
    assert read_tokenizer_file(tmp_path / "vocab.txt").vocabulary_size == len(PIECES)
    with pytest.raises(UserError, match="holds no tokenizer"):
        read_tokenizer_file(tmp_path.parent / tmp_path.name / "..")


def test_a_whole_file_says_all_itself(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(gpt2_json()))
    pairs = read_tokenizer_file(path)
    write_pairs(tmp_path)
    assert pairs == read_tokenizer_file(tmp_path / "encoder.json")
    fields = bert_json()
    path.write_text(json.dumps(fields))
    bert = read_tokenizer_file(path, lowercase=False)
    assert bert.vocabulary_size == 25 and bert.pieces[24] == "[NEW]" and bert.strip_accents
    assert (
        bert.encode("THE é").tolist() == wordpiece(tmp_path / "..", True).encode("the e").tolist()
    )
    fields["normalizer"] |= {"strip_accents": False, "handle_chinese_chars": False}
    fields["model"]["max_input_chars_per_word"] = 3
    path.write_text(json.dumps(fields))
    bert = read_tokenizer_file(path)
    assert [PIECES[i] for i in bert.encode("É a床 cats")] == ["é", "[UNK]", "[UNK]"]


@pytest.mark.parametrize("kind", ["wordpiece", "byte_pairs"])
def test_a_run_keeps_the_whole_of_it(tmp_path, kind):
    write_pairs(tmp_path)
    made = wordpiece(tmp_path) if kind == "byte_pairs" else read_tokenizer_file(tmp_path)
    made.save(tmp_path / "kept.json")
    assert (
        load_tokenizer(tmp_path / "kept.json")
        == made
        == read_tokenizer_file(tmp_path / "kept.json")
    )


@pytest.mark.parametrize("name", ["missing.txt", "a" * 10_000, "missing/vocab.txt"])
def test_a_path_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="cannot read"):
        read_tokenizer_file(tmp_path / name)


def changed(fields, path, value):
    *sections, last = path.split(".")
    inner = fields
    for section in sections:
        inner = inner[int(section) if section.isdigit() else section]
    inner[last] = value
    return fields


@pytest.mark.parametrize(
    ("make", "field", "value", "message"),
    [
        (bert_json, "model.type", "WordLevel", "'WordLevel' can't be read"),
        (bert_json, "model.vocab", [["a", 0.0]], "'model.vocab' should be: object"),
        (bert_json, "model.vocab", {"[UNK]": 0, "a": 2}, "are not 0, 1, 2"),
        (bert_json, "model.vocab", {"a": 0}, r"no '\[UNK\]'"),
        (bert_json, "model.unk_token", ["a"], "for unknown words"),
        (bert_json, "model.continuing_subword_prefix", "@@", "'@@' for continuing_subword_prefix"),
        (bert_json, "model.max_input_chars_per_word", 10**9, "give 1 to 1000"),
        (bert_json, "model.max_input_chars_per_word", -1, "should be: count"),
        (bert_json, "normalizer", None, "'normalizer' should be: object"),
        (bert_json, "normalizer.type", "Precompiled", "'Precompiled' for type"),
        (bert_json, "normalizer.lowercase", "yes", "'lowercase' should be: true or false"),
        (bert_json, "pre_tokenizer.type", "Split", "'Split' for type"),
        (bert_json, "added_tokens", {}, "'added_tokens' should be: list"),
        (bert_json, "added_tokens.0.special", False, "is one of the text"),
        (bert_json, "added_tokens.0.id", 5, "has two ids"),
        (bert_json, "added_tokens.1.id", 10**9, "are not 0, 1, 2"),
        (gpt2_json, "model.merges", ["a"], "a merge of the byte pairs is not of two"),
        (gpt2_json, "model.merges", [["a", 1]], "should be: text"),
        (gpt2_json, "model.merges", None, "'merges' should be: list"),
        (gpt2_json, "model.vocab", {"a": 0}, "are not 0, 1, 2"),
        (gpt2_json, "model.byte_fallback", True, "True for byte_fallback"),
        (gpt2_json, "pre_tokenizer.add_prefix_space", True, "True for add_prefix_space"),
        (gpt2_json, "normalizer", {"type": "NFC"}, "for normalizer"),
    ],
)
def test_what_no_tokenizer_here_does_is_refused(tmp_path, make, field, value, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(changed(make(), field, value)))
    with pytest.raises(UserError, match=message) as refused:
        read_tokenizer_file(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", b"[UNK]\na\nb\na\n", "entry 4 repeats 'a' of entry 2"),
        ("vocab.txt", b"[UNK]\n\xff\n", "not UTF-8 from byte 6"),
        ("vocab.txt", b"a\nb", r"no '\[UNK\]'"),
        ("encoder.json", b'{"a": 0}', "vocab.bpe"),
        ("tokenizer.json", b"[]", "should be: object"),
        ("other.json", b'{"a": 0}', "'model' should be: object"),
        ("tokenizer.json", b'{"kind": "bite"}', "unknown tokenizer 'bite'"),
        ("tokenizer.json", b"{", "not valid JSON"),
    ],
)
def test_files_that_are_no_tokenizers_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as refused:
        read_tokenizer_file(path)
    assert str(tmp_path) in str(refused.value)
