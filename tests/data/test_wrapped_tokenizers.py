"""Special tokens stand behind a vocabulary and are no text's; a pair is its target's tokenizer."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.config import base_config
from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.dataset import open_dataset
from lmjax.data.tokenizer_choice import train_tokenizer
from lmjax.data.tokenizer_registry import load_tokenizer, tokenizer_from_json
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, SpecialTokenizer
from lmjax.errors import UserError

PROSE = "the cat <mask> sat\non the <mask>\n" * 5
INNER = [
    ByteTokenizer(True),
    CharacterTokenizer.train([PROSE], False, closed=False),
    WordTokenizer.train([PROSE], 4, closed=False),
    BytePairTokenizer.train([PROSE], 270, False),
]
ROLES = ("mask", "separator", "sentinel_0", "sentinel_12")
WRAPPED = [SpecialTokenizer(inner, ROLES) for inner in INNER]
PAIR = PairTokenizer(WRAPPED[3], WRAPPED[2])
SPECIAL_JSON, PAIR_JSON = WRAPPED[0].to_json(), PAIR.to_json()


def name(one):
    return one.inner.kind


@pytest.mark.parametrize("made", WRAPPED, ids=name)
def test_special_tokens_stand_behind_the_vocabulary(made):
    inner = made.inner
    first = inner.vocabulary_size
    assert [made.special_id(role) for role in ROLES] == list(range(first, first + 4))
    assert made.vocabulary_size == first + 4
    assert made.special_id("class") is None and inner.special_id("mask") is None
    assert made.source is made


@pytest.mark.parametrize("made", [*WRAPPED, PAIR], ids=name)
def test_all_else_is_the_inner_tokenizers(made):
    inner = made.inner
    assert made.encode(PROSE).tolist() == inner.encode(PROSE).tolist(), "the letters stay letters"
    assert list(made.text_pieces(PROSE)) == list(inner.text_pieces(PROSE))
    assert made.untold("the é\t", mid_line=True) == inner.untold("the é\t", mid_line=True)
    for field in ("start_id", "end_id", "unknown_id", "newline_id"):
        assert getattr(made, field) == getattr(inner, field)
    refused = inner.kind in ("character", "word")
    with pytest.raises(UserError) if refused else contextlib.nullcontext():
        made.encode_prompt("zebrafish")


@pytest.mark.parametrize("made", WRAPPED, ids=name)
def test_special_tokens_are_shown_by_their_roles(made):
    mask, last = made.special_id("mask"), made.special_id("sentinel_12")
    the = made.encode("the")
    space = " " if made.inner.kind == "word" else ""
    assert made.decode([*the, mask, last, *the]) == space.join(
        ["the", "<mask>", "<sentinel_12>", "the"]
    )
    assert made.decode([mask]) == "<mask>" and made.decode([]) == ""
    assert made.decode([mask, *made.encode("\n"), *the]) == "<mask>\nthe"


@given(st.text("ab <mask>\n", max_size=40))
def test_text_comes_back_and_holds_no_special_token(text):
    for made in (WRAPPED[0], WRAPPED[3]):
        ids = made.encode(text)
        assert made.decode(ids) == text and all(i < made.inner.vocabulary_size for i in ids)


def test_a_pair_is_its_targets_tokenizer_and_knows_its_sources():
    assert PAIR.source is WRAPPED[2] and PAIR.inner is WRAPPED[3]
    assert PAIR.vocabulary_size == WRAPPED[3].vocabulary_size
    mask = PAIR.special_id("mask")
    assert mask == WRAPPED[3].special_id("mask") != PAIR.source.special_id("mask")
    assert PAIR.decode([mask]) == "<mask>"


def test_they_are_described_by_what_is_in_them():
    first = "bpe tokenizer, 269 entries, and 4 special tokens"
    assert (
        PAIR.description
        == f"{first}; of the source, word tokenizer, 4 entries, and 4 special tokens"
    )


@pytest.mark.parametrize("made", [*WRAPPED, PAIR], ids=name)
def test_a_file_holds_wrapped_tokenizers(made, tmp_path):
    made.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert loaded == made and loaded.to_json() == made.to_json()
    assert loaded.source == made.source


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**SPECIAL_JSON, "roles": ["mask", "mask"]}, "'mask' 2 times"),
        ({**SPECIAL_JSON, "roles": ["sentinel_01"]}, "unknown role 'sentinel_01'"),
        ({**SPECIAL_JSON, "roles": "mask"}, "'roles' should be: list"),
        ({**SPECIAL_JSON, "inner": ["byte"]}, "'inner' should be: object"),
        ({**SPECIAL_JSON, "inner": {"kind": "bite"}}, "unknown tokenizer 'bite'"),
        ({**SPECIAL_JSON, "inner": SPECIAL_JSON}, "the inner of a special tokenizer is wrapped"),
        ({**SPECIAL_JSON, "inner": PAIR_JSON}, "the inner of a special tokenizer is wrapped"),
        ({**PAIR_JSON, "source_side": PAIR_JSON}, "the source_side of a pair tokenizer is wrapped"),
        ({**PAIR_JSON, "source_side": None}, "'source_side' should be: object"),
    ],
)
def test_what_was_not_wrapped_here_is_refused(fields, message, tmp_path):
    with pytest.raises(UserError, match=message):
        tokenizer_from_json(json.loads(json.dumps(fields)))


@pytest.mark.parametrize("tokenizer", ["byte", "character", "word", "bpe"])
def test_the_configuration_names_special_tokens(tokenizer):
    data = base_config().data
    data.tokenizer, data.special_tokens = tokenizer, ("class", "padding")
    made = train_tokenizer(data, [PROSE])
    assert (made.inner.kind, made.roles) == (tokenizer, ("class", "padding"))
    for roles, message in ((("maks",), "did you mean 'mask'"), (("mask", "mask"), "name it once")):
        data.special_tokens = roles
        with pytest.raises(UserError, match=message):
            train_tokenizer(data, [PROSE])


def test_special_tokens_make_another_dataset_of_the_same_text(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "notes.txt").write_text("a line of the text\n" * 300)
    data = base_config().data
    data.corpus, data.files = "text", str(tmp_path / "*.txt")
    plain = open_dataset(data)
    data.special_tokens = ("mask",)
    special = open_dataset(data)
    assert special.folder != plain.folder and special.tokenizer.special_id("mask") == 256
    streams = special.splits["train"], plain.splits["train"]
    assert streams[0].tokens_N.tolist() == streams[1].tokens_N.tolist()
    digests = [stream.fingerprint.split("-") for stream in streams]
    assert digests[0][0] == digests[1][0] and digests[0][1] != digests[1][1]


def test_symbols_of_special_tokens_are_no_words():
    words = WordTokenizer(("the", "cat"), has_unknown=True)
    assert words.symbols() == ("</s>", "<unk>", "the", "cat")
    assert SpecialTokenizer(words, ("mask",)).symbols() == (*words.symbols(), None)
    assert WordTokenizer(("</s>", "<unk>"), True).symbols() == (None, None, "</s>", "<unk>")
    with pytest.raises(UserError, match="are no words"):
        ByteTokenizer(False).symbols()
