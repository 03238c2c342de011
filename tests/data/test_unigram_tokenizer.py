"""Unigram: the best way to cut a word, of T5's files; what it does not tell; what is refused."""

import base64
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library

from lmjax.config import base_config
from lmjax.data import tokenizer
from lmjax.data.dataset import open_dataset
from lmjax.data.streams import source_stream_of
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.tokenizer_registry import load_tokenizer, tokenizer_from_json
from lmjax.data.wrapped_tokenizers import with_unused
from lmjax.errors import UserError
from tests.data.unigram_files import MAP, METASPACE, VOCABULARY, charsmap, t5_json

PIECES = [piece for piece, _ in VOCABULARY]
letters = st.text("theca s\t\n\u3000\u200bﬆ\u0301Ａ한é</>▁床", max_size=30)


def read(folder, fields):
    (folder / "tokenizer.json").write_text(json.dumps(fields))
    return read_tokenizer_file(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("unigram")


@pytest.fixture(scope="module", params=[True, False], ids=["words", "spaces"])
def made(request, folder):
    return read(folder, t5_json(request.param))


def shown(made, text):
    return [made.pieces[i] for i in made.encode(text)]


def best(word):
    """The pieces of the highest total score, of all ways to cut the word."""
    scores = dict(VOCABULARY)
    ways = []
    for cuts in itertools.product([0, 1], repeat=len(word) - 1):
        begins = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), len(word)]
        parts = [word[a:b] for a, b in itertools.pairwise(begins)]
        if all(part in scores for part in parts):
            ways.append((sum(scores[part] for part in parts), parts))
    return max(ways)[1]


def test_a_word_is_cut_into_the_pieces_of_the_highest_score(made):
    for word in ("the", "cats", "catat", "attacat", "aaaa", "seat"):
        assert shown(made, word) == best("▁" + word)


def test_no_text_has_a_special_token(made):
    special = {"</s>", "<extra_id_0>", "<extra_id_1>", "[NEW]"}
    assert not special & {*shown(made, "the </s> <extra_id_0>[NEW]<extra_id_1>")}
    assert shown(made, "at</s>")[-4:] == ["<", "/", "s", ">"]
    assert made.vocabulary_size == 20 and made.special_id("unused_0") == 19
    roles = ("padding", "end", "unknown", "sentinel_0", "sentinel_1", "sentinel_2")
    assert [made.special_id(role) for role in roles] == [0, 1, 2, 18, 17, None]
    assert (made.start_id, made.end_id, made.newline_id) == (1, 1, None)


def test_characters_become_those_of_the_table(made):
    for text, same in [("ﬆ", "st"), ("e\u0301", "é"), ("Ａt\u200bs", "ats"), ("a\u3000c", "a c")]:
        assert shown(made, text) == shown(made, same)
    assert shown(made, "床한 a") == ["▁", "<unk>", "▁", "a"]


@given(letters)
def test_a_text_costs_nothing_beyond_its_tokens_only_if_they_give_it_back(made, text):
    untold = made.untold(text)
    assert (untold.symbols == 0) == (made.decode(made.encode(text)) == text)
    assert untold.unknowns == list(made.encode(text)).count(made.unknown_id)


def test_what_unigram_does_not_tell_is_counted(made):
    assert made.untold("the cats é") == (0, 0, 0)
    assert made.untold("the 한a床") == (2, 6, 0)
    assert made.untold("the Ａ\ncat") == (0, 0, 3 + 1)
    assert made.untold("ﬆ") == (0, 0, 3 + 1), "of two pieces, of which the second is of nothing"
    assert made.untold(" the") == (0, 0, 1) and made.untold(" the", mid_line=True) == (0, 0, 0)
    assert made.untold("the\n", mid_line=True) == (0, 0, 1 + 1)


@given(st.text("thecas \n한", max_size=40))
def test_unigram_reads_pieces_of_a_text_as_the_whole(made, text):
    whole = made.encode(text).tolist()
    for size in (1, 5):
        pieces = tokenizer.split_text(text, size, keep_words=True)
        assert [i for piece in pieces for i in made.encode_piece(piece)] == whole


def test_decoding_has_a_space_before_a_word_but_the_first(made):
    assert made.decode([4, 11, 8, 1, 4, 0]) == "the cat\nthe<pad>"
    assert made.decode([]) == "" and made.decode([8, 4]) == "t the"
    before, after = made.word_goes_on()
    assert [before[i] for i in (4, 6, 3, 1)] == [0, 1, 0, 0] and after[4] and not after[3]


def test_an_unknown_prompt_is_refused(made):
    assert made.encode_prompt("the cat").tolist() == made.encode("the cat").tolist()
    with pytest.raises(UserError, match="'한' is not made of the 20 pieces"):
        made.encode_prompt("the 한")
    with pytest.raises(UserError, match="surrogate"):
        made.encode("a\udc80")


def test_a_source_may_end_with_the_end(made):
    plain = made.encode("the cat").tolist()
    assert made.encode_source("the cat").tolist() == plain and not made.ends_sources
    ending = with_unused(made.with_roles(start=0, source_end=1), 12)
    assert ending.encode_source("the cat").tolist() == [*plain, 1]
    assert ending.encode("the cat").tolist() == plain and not len(ending.encode_source(""))
    assert (ending.start_id, ending.vocabulary_size) == (0, 32)
    assert ending.special_id("unused_12") == 31
    assert source_stream_of([("the cat",)], ending.source).tokens_N[-1] == 1
    with pytest.raises(UserError, match="another token after a source"):
        made.with_roles(source_end=0).check()


@pytest.mark.parametrize("others", [{}, {"class": 18, "separator": 1}], ids=["plain", "class"])
def test_its_tokenizer_json_gives_a_source_as_the_model_reads_it(made, others):
    ending = made.with_roles(source_end=1, **others)
    theirs = Library.from_str(ending.library_json())
    assert theirs.encode("the cat").ids == ending.encode_source("the cat").tolist()


def test_a_run_keeps_the_whole_of_it(made, tmp_path):
    kept = with_unused(made.with_roles(start=0, source_end=1), 12)
    kept.save(tmp_path / "kept.json")
    assert load_tokenizer(tmp_path / "kept.json") == kept
    assert read_tokenizer_file(tmp_path / "kept.json") == kept


def test_its_own_tokenizer_json_is_read_as_it(made, tmp_path):
    (tmp_path / "tokenizer.json").write_text(made.library_json())
    again = read_tokenizer_file(tmp_path)
    assert again == made and again.encode("the ﬆ").tolist() == made.encode("the ﬆ").tolist()
    (tmp_path / "tokenizer.json").write_text(with_unused(made, 12).library_json())
    assert read_tokenizer_file(tmp_path).vocabulary_size == 32


@pytest.mark.parametrize(
    ("normalizer", "text", "same"),
    [
        (None, "a\n é", "a  é"),
        ({"type": "Sequence", "normalizers": []}, "at", "at"),
        ({"type": "NFKC"}, "Ａ", "A"),
        ({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}, "Ａ", "a"),
        ({"type": "Replace", "pattern": {"String": "``"}, "content": "t"}, "``a", "ta"),
        ({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, "a   a", "a a"),
        ({"type": "Strip", "strip_left": False, "strip_right": True}, "a ", "a"),
    ],
)
def test_normalizers_that_are_read(tmp_path, normalizer, text, same):
    made = read(tmp_path, t5_json(split=False) | {"normalizer": normalizer})
    plain = read(tmp_path, t5_json(split=False) | {"normalizer": None})
    assert made.encode(text).tolist() == plain.encode(same).tolist()


def damaged(**changes):
    """Its table after a change of the size, of the array's first unit, or of the texts."""
    content = base64.b64decode(charsmap(MAP))
    size, units = content[:4], content[4 : 4 + int.from_bytes(content[:4], "little")]
    texts = content[4 + len(units) :]
    size, texts = changes.get("size", size), changes.get("texts", texts)
    units = changes.get("unit", units[:4]) + units[4:]
    return {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(size + units + texts).decode(),
    }


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


STEPS = {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 17}
TABLE = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"normalizer": TABLE}, "points outside"),
        ({"normalizer": TABLE | {"precompiled_charsmap": "A"}}, "is damaged"),
        ({"normalizer": TABLE | {"precompiled_charsmap": "AB=="}}, "is damaged"),
        ({"normalizer": damaged(size=b"\xff\xff\xff\x7f")}, "is damaged|points outside"),
        ({"normalizer": damaged(unit=b"\x00\xfc\xff\x7f")}, "points outside"),
        ({"normalizer": damaged(unit=b"\x00\xfc\xff\xff")}, "points outside"),
        ({"normalizer": damaged(texts=b"")}, "points to no text"),
        ({"normalizer": damaged(texts="é".encode() * 30)}, "points to no text"),
        ({"normalizer": damaged(texts=b"a" * 200)}, "over 100 bytes of one"),
        ({"normalizer": damaged(texts=b"\xff")}, "is damaged"),
        ({"normalizer": replace({"Regex": "(a+)+$"}, "")}, "only a text by one"),
        ({"normalizer": replace({"String": ""}, "")}, "only a text by one"),
        ({"normalizer": replace({"String": "a"}, "aa")}, "only a text by one"),
        ({"normalizer": {"type": "Prepend", "prepend": "▁"}}, "'Prepend' can't be read"),
        ({"normalizer": STEPS}, "has 17 steps"),
        ({"normalizer": {"type": "Sequence", "normalizers": [STEPS]}}, "'Sequence' can't be read"),
        ({"normalizer": []}, "should be: object"),
        ({"pre_tokenizer": None}, "'pre_tokenizer' should be: object"),
        ({"pre_tokenizer": METASPACE | {"prepend_scheme": "never"}}, "'never' for prepend_scheme"),
        ({"pre_tokenizer": METASPACE | {"split": False}}, "False for split"),
        ({"pre_tokenizer": METASPACE | {"replacement": "_"}}, "'_' for replacement"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [METASPACE]}}, "has 1 parts"),
        ({"model": {"vocab": {"a": 0}}}, "'model.vocab' should be: list"),
        ({"model": {"vocab": [["a", "b"]]}}, "should be: piece and score"),
        ({"model": {"vocab": [*VOCABULARY[:-1], ["b", 1e300]]}}, "a score for each piece"),
        ({"model": {"vocab": [*VOCABULARY, ["at", 0.0]]}}, "entry 20 repeats 'at' of entry 7"),
        ({"model": {"vocab": [*VOCABULARY, ["", 0.0]]}, "added_tokens": []}, "have 0 to 12"),
        ({"model": {"vocab": [*VOCABULARY, ["a" * 300, 0.0]]}, "added_tokens": []}, "12 to|to 300"),
        ({"model": {"unk_id": None}}, "'model.unk_id' should be: count"),
        ({"model": {"unk_id": 10**9}}, "no special token 'unknown' of id 1000000000"),
        ({"model": {"byte_fallback": True}}, "True for byte_fallback"),
        ({"added_tokens": [{"id": 25, "content": "[NEW]", "special": True}]}, "are not 0, 1, 2"),
    ],
)
def test_what_no_tokenizer_here_does_is_refused(tmp_path, sections, message):
    fields = t5_json()
    fields["model"] |= sections.pop("model", {})
    with pytest.raises(UserError, match=message) as refused:
        read(tmp_path, fields | sections)
    assert str(tmp_path) in str(refused.value) and len(str(refused.value)) < 400


@given(st.data())
def test_a_table_that_is_not_refused_never_stops_the_library(folder, data):
    content = bytearray(base64.b64decode(charsmap({"é": "e", "a": "c"})))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    fields = t5_json()
    fields["normalizer"]["precompiled_charsmap"] = base64.b64encode(content).decode()
    try:
        made = read(folder, fields)
    except UserError:
        return
    ids_N = made.encode("the é cat 한 ad\x01\xff")
    assert len(ids_N) and ids_N.max() < made.vocabulary_size


def test_fields_of_its_own_file_are_checked_together(made):
    for change, message in [
        ({"scores": [0.0]}, "a score for each piece"),
        ({"scores": [*made.scores[:-1], True]}, "should be: number"),
        ({"normalizer": "{"}, "not valid JSON"),
        ({"special": {}}, "needs a token for unknown"),
        ({"special": {"unknown": 2, "start": 99}}, "no special token 'start'"),
        ({"pieces": [*PIECES, "a"]}, "repeat one"),
    ]:
        with pytest.raises(UserError, match=message):
            tokenizer_from_json({**made.to_json(), **change})


def test_sources_of_a_corpus_end_as_the_tokenizer_says(made, tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    pairs = [f"the {'cat ' * i}at\tat{' a' * i}\n" for i in range(120)]
    (tmp_path / "pairs.tsv").write_text("".join(pairs))
    data = base_config("encoder_decoder").data
    data.update(corpus="parallel", files=str(tmp_path / "pairs.tsv"), tokenizer="file")
    data.update(tokenizer_file=str(tmp_path / "kept.json"), special_tokens=())
    for kept, last in ((made, []), (made.with_roles(source_end=1), [1])):
        kept.save(tmp_path / "kept.json")
        stream = open_dataset(data).splits["train"]
        sources = np.split(stream.source.tokens_N, stream.source.document_starts_M[1:])
        targets = np.split(stream.tokens_N, stream.document_starts_M[1:])
        assert all(target[-1] == 1 for target in targets)
        assert all(source.tolist().count(1) == len(last) for source in sources)
        assert all(source.tolist()[len(source) - len(last) :] == last for source in sources)
