"""Vectors of a file are where the embedding begins; what can't be is refused before it is begun."""

from types import SimpleNamespace

import numpy as np
import pytest

import lmjax
from lmjax.config import base_config
from lmjax.data.label_tokenizer import LabelTokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.word_vectors import WordVectors, write_word_vectors
from lmjax.data.wrapped_tokenizers import PairTokenizer
from lmjax.errors import UserError
from lmjax.training.initial_embedding import with_initial_embedding
from lmjax.training.run import train

TOKENIZER = WordTokenizer(("The", "cat", "sat", "Rome"), has_unknown=True)
FILE = WordVectors(
    ("the", "cat", "Rome", "rome", "other"), np.arange(15, dtype=np.float32).reshape(5, 3)
)
MODEL = SimpleNamespace(vocabulary_size=6, reads="past")
DRAWN = {"params": {"embedding": {"embedding": -np.ones((6, 3), np.float32)}}}


@pytest.fixture
def file(tmp_path):
    write_word_vectors(tmp_path / "vectors.txt.gz", FILE)
    return str(tmp_path / "vectors.txt.gz")


def test_words_have_the_vector_of_the_file_or_keep_their_own(file):
    others = {"output": {"kernel": np.zeros((3, 6), np.float32)}}
    params = {"params": {**DRAWN["params"], **others}}
    begun = with_initial_embedding(file, params, TOKENIZER, MODEL)
    # </s> and <unk> are not in the file, nor is sat; The is in lower case.
    expected = [[-1] * 3, [-1] * 3, [0, 1, 2], [3, 4, 5], [-1] * 3, [6, 7, 8]]
    np.testing.assert_array_equal(begun.params["params"]["embedding"]["embedding"], expected)
    assert "2 of 6 tokens are among its 5 words and 1 more in lower case; 3 are not" in begun.remark
    assert not begun.params["params"]["output"]["kernel"].any()


def test_a_model_of_labels_begins_with_the_vectors_of_its_sources_words(file):
    labels = WordTokenizer(("cat",), has_unknown=True)
    pair, model = PairTokenizer(labels, TOKENIZER), SimpleNamespace(vocabulary_size=3)
    model.reads, model.source_vocabulary_size = "source", 6
    begun = with_initial_embedding(file, DRAWN, pair, model)
    expected = [[-1] * 3, [-1] * 3, [0, 1, 2], [3, 4, 5], [-1] * 3, [6, 7, 8]]
    np.testing.assert_array_equal(begun.params["params"]["embedding"]["embedding"], expected)


def test_two_labels_are_not_the_two_texts_of_a_pair(file):
    types = {"token_type_embedding": {"embedding": np.zeros((2, 3), np.float32)}}
    params = {"params": {"backbone": {**DRAWN["params"], **types}}}
    model = SimpleNamespace(vocabulary_size=2, reads="source", source_vocabulary_size=6)
    model.backbone = MODEL
    pair = PairTokenizer(LabelTokenizer(("The", "cat")), TOKENIZER)
    begun = with_initial_embedding(file, params, pair, model).params["params"]["backbone"]
    assert not begun["token_type_embedding"]["embedding"].any()
    assert begun["embedding"]["embedding"][2:4].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_what_does_not_fit_is_refused(file, tmp_path):
    wide = {"params": {"embedding": {"embedding": np.zeros((6, 4), np.float32)}}}
    with pytest.raises(UserError, match="have the width 3, and params/embedding/embedding has 4"):
        with_initial_embedding(file, wide, TOKENIZER, MODEL)
    with pytest.raises(UserError, match="no table"):
        with_initial_embedding(file, {"params": {"kernel": np.zeros((6, 3))}}, TOKENIZER, MODEL)
    with pytest.raises(UserError, match="training.initial_embedding 'nowhere.txt': cannot read"):
        with_initial_embedding("nowhere.txt", DRAWN, TOKENIZER, MODEL)
    with pytest.raises(UserError, match="none of its words is a token"):
        with_initial_embedding(file, DRAWN, WordTokenizer(("Wort",), True), MODEL)


def test_a_run_begins_with_it_says_so_and_leaves_it_where_it_is_frozen(tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat\n" * 200)
    words = ("the", "cat", "sat", "on", "mat")
    vectors = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    write_word_vectors(tmp_path / "vectors.txt", WordVectors(words, vectors))
    config = base_config("rnn")
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), tokenizer="word")
    config.data.update(batch_size=2, length=4)
    config.model.update(width=4, layers=1, embedding_width=3)
    config.training.update(duration="2 steps", learning_rate=0.1, frozen=("embedding/*",))
    config.training.initial_embedding = str(tmp_path / "absent.txt")
    with pytest.raises(UserError, match="absent.txt"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    config.training.initial_embedding = str(tmp_path / "vectors.txt")
    train(config, tmp_path / "run")
    assert "5 of 7 tokens" in (tmp_path / "run" / "log.txt").read_text()
    trained = lmjax.load(tmp_path / "run").word_vectors()
    found = trained.vectors_VD[[trained.index[word] for word in words]]
    np.testing.assert_array_equal(found, vectors)
    config.training.initial_params = str(tmp_path / "run")
    with pytest.raises(UserError, match="leave it or training.initial_embedding out"):
        train(config, tmp_path / "both")
