"""Kneser-Ney on the Penn Treebank, where the perplexities are known."""

import gzip
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.models.ngram import NGramModel

# Mikolov's preprocessing, <eos> after each line.
TARGETS = {"train": 929_589, "test": 82_430}
WORDS = 10_000


@pytest.fixture(scope="module")
def streams(data_dir):
    vocabulary, streams = {"<eos>": 0}, {}
    for split, targets in TARGETS.items():
        with gzip.open(data_dir / "ptb" / f"ptb.{split}.txt.gz", "rt", encoding="utf-8") as lines:
            words = [word for line in lines for word in (*line.split(), "<eos>")]
        tokens = [vocabulary.setdefault(word, len(vocabulary)) for word in words]
        assert len(tokens) == targets
        streams[split] = SimpleNamespace(tokens_N=np.array(tokens, np.int32), start_id=0)
    assert len(vocabulary) == WORDS
    return streams


@pytest.mark.parametrize(
    ("smoothing", "perplexity"),
    [
        ("modified_kneser_ney", 141.2),  # Mikolov's thesis, table 4.1: KN5
        ("kneser_ney", 143.5),  # an independent implementation with dictionaries
    ],
)
def test_five_grams_reach_the_known_perplexity(streams, smoothing, perplexity):
    model = NGramModel(
        vocabulary_size=WORDS, order=5, smoothing=smoothing, sentence_boundary=True, end_id=0
    )
    targets_T = jnp.asarray(streams["test"].tokens_N)
    tokens_T = jnp.concatenate([jnp.zeros(1, jnp.int32), targets_T[:-1]])
    score = jax.jit(lambda *arguments: model.apply(*arguments, method="log_probs")[0])
    log_probs_BT = score(model.fit([streams["train"]]), tokens_T[None], targets_T[None])
    measured = np.exp(-np.asarray(log_probs_BT, np.float64).mean())
    assert measured == pytest.approx(perplexity, abs=0.3)
