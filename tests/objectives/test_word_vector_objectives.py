"""Objectives of word vectors: values and gradients are those of loops over pairs in NumPy."""

from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.config import base_config, objective_config
from lmjax.data.batch import Batch
from lmjax.data.context import ContextPolicy
from lmjax.data.cooccurrences import cooccurrences
from lmjax.errors import UserError
from lmjax.evaluation.scoring import score_stream
from lmjax.models.word_vectors import WordVectorModel
from lmjax.objective_defaults import OBJECTIVES
from lmjax.objectives.cbow import ContinuousBagOfWords
from lmjax.objectives.glove import GloVe
from lmjax.objectives.registry import check_batches, check_objective, make_objective
from lmjax.objectives.skip_gram import SkipGram
from tests.streams import stream_of_documents

VOCABULARY, WIDTH, ROWS, LENGTH = 7, 3, 2, 6
NOISE = {**OBJECTIVES["skip_gram"], "window": 2, "negatives": 3, "noise_words": 4}
GENERATOR = np.random.default_rng(0)
MODEL = WordVectorModel(VOCABULARY, width=WIDTH, biases=True, summed=True)
TABLES = {
    "embedding": {"embedding": GENERATOR.standard_normal((VOCABULARY, WIDTH)).astype(np.float32)},
    "output": {"embedding": GENERATOR.standard_normal((VOCABULARY, WIDTH)).astype(np.float32)},
    "input_bias": GENERATOR.standard_normal(VOCABULARY).astype(np.float32),
    "output_bias": GENERATOR.standard_normal(VOCABULARY).astype(np.float32),
}
X_VD, Y_VD = TABLES["embedding"]["embedding"], TABLES["output"]["embedding"]
STREAM = stream_of_documents([3, 1, 3, 6, 2, 5, 0], [1, 4], [2, 3, 1, 0, 0, 6, 5, 1])
DATA = SimpleNamespace(batching="windows", batch_size=ROWS, length=LENGTH, resets="none")


def log_sigmoid(x):
    return -np.log1p(np.exp(-x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def batch():
    """Two rows with a border of documents, left-out words at the end, and reaches of 0, 1 and 2."""
    return Batch(
        tokens_BT=np.zeros((ROWS, LENGTH), np.int32),
        targets_BT=GENERATOR.integers(0, VOCABULARY, (ROWS, LENGTH)).astype(np.int32),
        weights_BT=np.float32([[1, 2, 1, 2, 2, 0], [2, 0, 1, 2, 0, 0]]),
        segment_ids_BT=np.int32([[0, 0, 0, 4, 4, 4], [1, 1, 1, 1, -1, -1]]),
        positions_BT=None,
        continues_B=np.zeros(ROWS, bool),
        source_BS=GENERATOR.integers(0, VOCABULARY, (ROWS, 4)).astype(np.int32),
    )


def places_near(batch, row, place):
    """The columns that the word at a place looks at, by a loop."""
    segments, reach = batch.segment_ids_BT[row], batch.weights_BT[row, place]
    return [
        other
        for other in range(LENGTH)
        if 0 < abs(other - place) <= reach and segments[other] == segments[place] >= 0
    ]


def by_loop(batch, predictions):
    """`nats, count, x_gradient_VD, y_gradient_VD` of all predictions at all places.

    `predictions(words, centre, near)` gives, for each, the words whose mean is read and the word
    that is told from noise.
    """
    nats, count = 0.0, 0
    x_gradient_VD, y_gradient_VD = np.zeros_like(X_VD), np.zeros_like(Y_VD)
    for row in range(ROWS):
        words, noise = batch.targets_BT[row], batch.source_BS[row]
        for place in range(LENGTH):
            for read, told in predictions(words, words[place], places_near(batch, row, place)):
                count += 1
                x_D = X_VD[read].mean(axis=0)
                x_gradient_D = np.zeros(WIDTH)
                for word, label, weight in [(told, 1, 1.0), *((n, 0, 3 / 4) for n in noise)]:
                    score = x_D @ Y_VD[word]
                    nats -= weight * log_sigmoid(score if label else -score)
                    slope = weight * (sigmoid(score) - label)
                    x_gradient_D += slope * Y_VD[word]
                    y_gradient_VD[word] += slope * x_D
                for word in read:
                    x_gradient_VD[word] += x_gradient_D / len(read)
    return nats, count, x_gradient_VD, y_gradient_VD


def skip_gram_pairs(words, centre, near):
    return [([centre], words[other]) for other in near]


def cbow_predictions(words, centre, near):
    return [([words[other] for other in near], centre)] if near else []


@pytest.mark.parametrize(
    ("objective", "predictions"),
    [(SkipGram(**NOISE), skip_gram_pairs), (ContinuousBagOfWords(**NOISE), cbow_predictions)],
    ids=["skip_gram", "cbow"],
)
def test_negative_sampling_is_that_of_a_loop(batch, objective, predictions):
    nats, count, x_gradient_VD, y_gradient_VD = by_loop(batch, predictions)

    def loss(params):
        outcome = objective(MODEL, params, batch, None, deterministic=False)
        return outcome.nats, outcome

    gradient, outcome = jax.jit(jax.grad(loss, has_aux=True))({"params": TABLES})
    assert float(outcome.nats) == pytest.approx(nats, rel=1e-5)
    assert float(outcome.counts["tokens"]) == count > 0
    assert float(outcome.counts["sequences"]) == ROWS
    found = gradient["params"]
    np.testing.assert_allclose(found["embedding"]["embedding"], x_gradient_VD, atol=1e-5)
    np.testing.assert_allclose(found["output"]["embedding"], y_gradient_VD, atol=1e-5)
    assert not found["input_bias"].any() and not found["output_bias"].any()


def test_what_is_prepared_is_a_function_of_seed_and_step():
    objective = SkipGram(**{**NOISE, "subsampling": 0.005})
    batches = [objective.batching(STREAM, DATA, seed) for seed in (3, 3, 4)]
    one, same, other = (batch.batch(2) for batch in batches)
    for name in ("targets_BT", "weights_BT", "segment_ids_BT", "source_BS"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert (one.source_BS != other.source_BS).any()
    exists_BT = one.segment_ids_BT >= 0
    assert 0 < exists_BT.sum() < exists_BT.size
    assert (np.diff(exists_BT.astype(int), axis=1) <= 0).all()  # words first, then what is left
    np.testing.assert_array_equal(exists_BT, one.weights_BT > 0)
    assert set(np.unique(one.weights_BT)) <= {0, 1, 2}


def test_words_that_are_kept_stay_in_their_order():
    whole = SkipGram(**{**NOISE, "subsampling": 0.0}).batching(STREAM, DATA, 1).batch(0)
    some = SkipGram(**{**NOISE, "subsampling": 0.005}).batching(STREAM, DATA, 1).batch(0)
    for words, kept, exists in zip(
        whole.targets_BT.tolist(), some.targets_BT.tolist(), some.segment_ids_BT >= 0, strict=True
    ):
        left = iter(words)
        assert all(word in left for word in kept[: exists.sum()])


def test_frequent_words_are_left_out_and_noise_is_drawn_by_the_published_formulas():
    words = np.repeat(np.arange(4), [600, 300, 99, 1])
    stream = stream_of_documents(np.random.default_rng(1).permutation(words).tolist())
    data = SimpleNamespace(batching="windows", batch_size=20, length=40, resets="none")
    objective = SkipGram(window=2, negatives=1, noise_words=50, noise_power=0.75, subsampling=0.1)
    batches = [objective.batching(stream, data, 0).batch(step) for step in range(40)]
    kept = np.concatenate([b.targets_BT[b.segment_ids_BT >= 0] for b in batches])
    noise = np.concatenate([b.source_BS.ravel() for b in batches])
    f = np.array([600, 300, 99, 1]) / 1000
    expected = f * np.minimum(1, np.sqrt(0.1 / f) + 0.1 / f)
    np.testing.assert_allclose(np.bincount(kept) / len(kept), expected / expected.sum(), atol=0.01)
    np.testing.assert_allclose(np.bincount(noise) / len(noise), f**0.75 / sum(f**0.75), atol=0.01)


@pytest.mark.parametrize("objective", [SkipGram(**NOISE), ContinuousBagOfWords(**NOISE)], ids=str)
def test_a_score_is_the_mean_over_places_whatever_the_batch_size(objective):
    policy = ContextPolicy("windowed", window=5, stride=3)
    scores = [
        score_stream(MODEL, {"params": TABLES}, STREAM, policy, size, objective) for size in (1, 4)
    ]
    assert scores[0].total_nats == pytest.approx(scores[1].total_nats, rel=1e-6)
    kind = "_negative_sampling_window_2_negatives_3"  # what is not the default
    assert scores[0].nats_of in (f"skip_gram{kind}", f"cbow{kind}")
    assert scores[0].tokens == len(STREAM.tokens_N) and scores[0].nats_per_token > 0
    assert scores[0].bits_per_byte is scores[0].word_perplexity is scores[0].perplexity is None
    batches = objective.evaluation_batches(STREAM, policy, 2)
    scored = np.concatenate([places[batch.weights_BT > 0] for batch, places in batches])
    assert sorted(scored.tolist()) == list(range(len(STREAM.tokens_N)))
    batch, places_BT = next(objective.evaluation_batches(STREAM, policy, 2))
    np.testing.assert_array_equal(batch.targets_BT, STREAM.tokens_N[places_BT])


def weighted_squares(cells, objective):
    x_ij = (X_VD[cells[0]] * Y_VD[cells[1]]).sum(axis=-1)
    errors = x_ij + TABLES["input_bias"][cells[0]] + TABLES["output_bias"][cells[1]]
    errors = errors - np.log(cells[2])
    return np.minimum(1, (cells[2] / objective.x_max) ** objective.alpha) * errors**2


def test_glove_is_the_weighted_squares_of_all_cells():
    objective = GloVe(window=3, x_max=1.5, alpha=0.75)
    data = SimpleNamespace(batching="cooccurrences", batch_size=ROWS, length=LENGTH)
    batching = objective.batching(STREAM, data, seed=0)
    apply = jax.jit(partial(objective, MODEL))
    outcomes = [
        apply({"params": TABLES}, batching.batch(step), None)
        for step in range(batching.steps_per_epoch)
    ]
    cells = cooccurrences(STREAM, 3)
    cells = cells.rows_N, cells.columns_N, cells.counts_N
    expected = weighted_squares(cells, objective)
    assert sum(float(o.nats) for o in outcomes) == pytest.approx(expected.sum(), rel=1e-5)
    assert sum(float(o.counts["tokens"]) for o in outcomes) == len(expected)
    assert (cells[2] > 1.5).any() and (cells[2] < 1.5).any()


def test_glove_scores_as_many_cells_as_words_whatever_the_batch_size():
    objective = GloVe(window=3, x_max=1.5, alpha=0.75)
    policy = ContextPolicy("windowed", window=5, stride=3)
    scores = [
        score_stream(MODEL, {"params": TABLES}, STREAM, policy, size, objective) for size in (1, 4)
    ]
    assert scores[0].total_nats == pytest.approx(scores[1].total_nats, rel=1e-6)
    assert scores[0].nats_of.startswith("glove_weighted_squares_window_")
    cells, words = cooccurrences(STREAM, 3), len(STREAM.tokens_N)
    chosen = [place * len(cells.counts_N) // words for place in range(words)]
    assert len(set(chosen)) == words
    chosen = cells.rows_N[chosen], cells.columns_N[chosen], cells.counts_N[chosen]
    expected = weighted_squares(chosen, objective).sum()
    assert scores[0].total_nats == pytest.approx(expected, rel=1e-5)


def test_vectors_are_the_sum_of_both_tables_or_the_input():
    summed = MODEL.apply({"params": TABLES}, method="word_vectors")
    np.testing.assert_allclose(summed, X_VD + Y_VD)
    alone = MODEL.clone(summed=False).apply({"params": TABLES}, method="word_vectors")
    np.testing.assert_array_equal(alone, X_VD)


def test_a_pairs_logit_is_that_of_the_whole_row():
    words_BT, others_BT = np.int32([[1, 2]]), np.int32([[5, 0]])
    pairs_BT = MODEL.apply({"params": TABLES}, words_BT, others_BT, method="pair_logits")
    logits_BTV, _ = MODEL.apply({"params": TABLES}, words_BT)
    np.testing.assert_allclose(pairs_BT[0], logits_BTV[0, [0, 1], [5, 0]], rtol=1e-5)


@pytest.mark.parametrize("field", ["window", "negatives", "noise_words"])
def test_settings_below_one_are_refused(field):
    with pytest.raises(UserError, match=f"objective.{field} is 0"):
        SkipGram(**{**NOISE, field: 0})


def test_what_glove_cannot_be_trained_with_is_refused():
    config = base_config("word_vectors")
    with config.unlocked():
        config.objective = objective_config("glove")
    objective = make_objective(config.objective, None)
    check_objective(config, objective, MODEL)
    with pytest.raises(UserError, match="set model.biases=True"):
        check_objective(config, objective, MODEL.clone(biases=False))
    with pytest.raises(UserError, match="set it to 'cooccurrences'"):
        check_batches(config, objective, STREAM)
    with pytest.raises(UserError, match="can't train model"):
        check_objective(config, make_objective(objective_config("causal"), None), MODEL)
