"""A corpus, or one side of it, in the tokens of a file that its configuration names."""

import json

import pytest

from lmjax.config import base_config
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.dataset import open_dataset
from lmjax.data.tokenizer_choice import train_tokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, SpecialTokenizer
from lmjax.errors import UserError
from lmjax.runs.fields import read_config
from lmjax.runs.run_directory import RunDirectory, storable
from tests.data.wordpiece_files import PIECES, TRAINED, wordpiece


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "notes.md").write_text("the cats,\nthe Dog é\n" * 300)
    data = base_config().data
    data.corpus, data.files = "text", str(tmp_path / "*.md")
    data.tokenizer, data.tokenizer_file = "file", str(tmp_path)
    return data


def test_a_corpus_is_read_in_the_tokens_of_a_file(data, tmp_path):
    wordpiece(tmp_path)
    uncased = open_dataset(data)
    counts = uncased.splits["test"].counts
    assert counts.unknowns == counts.words // 5 and counts.dropped_bytes > 0
    data.tokenizer_lowercase = False
    cased = open_dataset(data)
    wordpiece(tmp_path, pieces=[*PIECES, "dog"])
    data.tokenizer_lowercase, data.special_tokens = True, ("mask", "sentinel_0")
    larger = open_dataset(data)
    assert len({uncased.folder, cased.folder, larger.folder}) == 3
    assert larger.splits["test"].counts.unknowns == 0
    special = larger.tokenizer
    assert special.special_id("mask") == 4 and special.special_id("sentinel_0") == 25
    assert special.vocabulary_size == 26


def test_a_run_reads_its_corpus_by_its_own_copy(data, tmp_path):
    wordpiece(tmp_path)
    data.special_tokens = ("sentinel_0",)
    first = open_dataset(data)
    config = base_config()
    config.data = data
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(storable(config)))
    first.tokenizer.save(run / "tokenizer.json")
    (tmp_path / "vocab.txt").unlink()
    kept = read_config(run / "config.json")
    RunDirectory(run).check(kept)  # the same run, whatever the file's name
    again = open_dataset(kept.data)
    assert again.folder == first.folder and again.tokenizer == first.tokenizer


def test_impossible_choices_are_refused(data, tmp_path):
    ByteTokenizer(False).save(tmp_path / "tokenizer.json")
    assert train_tokenizer(data, []) == ByteTokenizer(False)
    for changes, message in [
        ({"document_end": True}, "no token for the end of a document"),
        ({"vocabulary_size": 300}, "no size to choose"),
        ({"tokenizer_file": ""}, "name it in data.tokenizer_file"),
        ({"tokenizer": "byte"}, "set that, or data.source_tokenizer, to 'file'"),
    ]:
        refused = base_config().data
        refused.update({**data.to_dict(), **changes})
        with pytest.raises(UserError, match=message):
            train_tokenizer(refused, [])


@pytest.mark.parametrize("source", ["label", "number", "span"])
def test_sources_have_no_tokenizer_of_targets_alone(source):
    data = base_config("classifier").data
    data.update(corpus="trec", tokenizer="label", source_tokenizer=source)
    with pytest.raises(UserError, match=f"source_tokenizer is '{source}', which is of targets"):
        open_dataset(data)


def test_the_pair_of_another_run_is_that_of_both_sides_or_its_target(data, tmp_path):
    pair = PairTokenizer(ByteTokenizer(False), TRAINED)
    pair.save(tmp_path / "tokenizer.json")
    assert train_tokenizer(data, []) == pair
    data.special_tokens = ("mask",)
    special = SpecialTokenizer(TRAINED, ("mask",))
    assert train_tokenizer(data, []) == PairTokenizer(ByteTokenizer(False), special)
    data.special_tokens = ()
    for data.source_tokenizer in ("word", "file"):
        assert train_tokenizer(data, []) == ByteTokenizer(False)
    assert train_tokenizer(data, [], side="source") == TRAINED


@pytest.mark.parametrize("source", ["word", "file"])
def test_a_file_may_be_that_of_the_targets(tmp_path, source):
    TRAINED.save(tmp_path / "tokenizer.json")
    (tmp_path / "pairs.tsv").write_text("".join(f"no {i}\tx\n" for i in range(300)))
    data = base_config("seq2seq").data
    data.update(corpus="parallel", files=str(tmp_path / "pairs.tsv"), document_end=False)
    data.update(tokenizer="file", tokenizer_file=str(tmp_path), source_tokenizer=source)
    made = open_dataset(data).tokenizer
    assert made.target == TRAINED
    assert (made.source == TRAINED) == (source == "file")


def test_a_file_may_be_that_of_the_sources_alone(data, tmp_path):
    """Also where a run is read back, whose tokenizer is a pair, and of which another goes on."""
    SpecialTokenizer(TRAINED, ("class",)).save(tmp_path / "tokenizer.json")
    (tmp_path / "pairs.tsv").write_text("".join(f"no {i}\tx\n" for i in range(300)))
    config = base_config("classifier")
    config.data.update(corpus="parallel", files=str(tmp_path / "pairs.tsv"), tokenizer="word")
    config.data.update(source_tokenizer="file", tokenizer_file=str(tmp_path / "tokenizer.json"))
    made = open_dataset(config.data)
    assert isinstance(made.tokenizer.target, WordTokenizer)
    assert made.tokenizer.source == SpecialTokenizer(TRAINED, ("class",))
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(storable(config)))
    made.tokenizer.save(run / "tokenizer.json")
    (tmp_path / "tokenizer.json").unlink()
    again = open_dataset(read_config(run / "config.json").data)
    assert again.folder == made.folder and again.tokenizer == made.tokenizer
    TRAINED.save(tmp_path / "tokenizer.json")
    assert open_dataset(config.data).folder != made.folder


def test_special_tokens_that_are_lacking_join_those_that_are_there(data, tmp_path):
    SpecialTokenizer(ByteTokenizer(False), ("mask",)).save(tmp_path / "tokenizer.json")
    data.special_tokens = ("mask", "class")
    expected = SpecialTokenizer(ByteTokenizer(False), ("mask", "class"))
    assert train_tokenizer(data, []) == expected
