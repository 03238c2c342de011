import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import chisquare

from lmjax.errors import UserError
from lmjax.generation.sampling import Sampler, _pick, keep_top_k, keep_top_p

DRAWS = 20_000
LOGITS = np.array([1.0, 0.2, -0.5, 2.0, 1.5, -3.0], np.float32)


def draw(sampler, logits_V=LOGITS, seed=3, draws=DRAWS):
    keys_B = jax.vmap(lambda row: jax.random.fold_in(jax.random.key(seed), row))(jnp.arange(draws))
    logits_BV = jnp.broadcast_to(jnp.asarray(logits_V)[None, :], (draws, len(logits_V)))
    return np.asarray(jax.jit(sampler)(logits_BV, keys_B))


def assert_drawn_from(tokens, probabilities):
    counts = np.bincount(tokens, minlength=len(probabilities))
    possible = probabilities > 0
    assert counts[~possible].sum() == 0
    assert chisquare(counts[possible], len(tokens) * probabilities[possible]).pvalue > 1e-3


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_logits(temperature):
    expected = softmax(LOGITS.astype(np.float64) / temperature)
    assert_drawn_from(draw(Sampler(temperature=temperature)), expected)


def test_greedy_is_argmax():
    logits_BV = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
    keys_B = jax.random.split(jax.random.key(0), 50)
    tokens_B = Sampler(temperature=0, top_k=5, top_p=0.1)(jnp.asarray(logits_BV), keys_B)
    np.testing.assert_array_equal(tokens_B, logits_BV.argmax(axis=-1))


def test_of_equals_the_first_is_greedily_chosen():
    logits_BV = jnp.array([[0.0, 2.0, 2.0], [1.0, 1.0, -jnp.inf]])
    keys_B = jax.random.split(jax.random.key(0), 2)
    assert Sampler(temperature=0)(logits_BV, keys_B).tolist() == [1, 0]


@pytest.mark.parametrize("size", [255, 256, 257, 1000])
def test_large_vocabularies_are_drawn_from_evenly(size):
    logits_V = np.random.default_rng(size).normal(size=size).astype(np.float32)
    logits_V[np.arange(size) % 3 == 1] = -np.inf
    assert_drawn_from(draw(Sampler(), logits_V), softmax(logits_V.astype(np.float64)))


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-23])
def test_what_has_no_weight_is_never_picked(uniform):
    weights_BN = np.random.default_rng(0).exponential(size=(2000, 256)).astype(np.float32)
    weights_BN[:, -9:] = weights_BN[:, :7] = weights_BN[:, ::2] = 0
    places_B = np.asarray(_pick(jnp.asarray(weights_BN), jnp.full(2000, uniform)))
    assert (np.take_along_axis(weights_BN, places_B[:, None], axis=1) > 0).all()


def test_filters_apply_in_order():
    # Top-p sees the probabilities at the temperature, among the top k alone.
    probabilities = softmax(LOGITS.astype(np.float64) / 2)
    order = np.argsort(-probabilities)
    among_k = np.zeros_like(probabilities)
    among_k[order[:3]] = probabilities[order[:3]] / probabilities[order[:3]].sum()
    kept = order[: np.searchsorted(np.cumsum(among_k[order]), 0.7) + 1]
    expected = np.zeros_like(probabilities)
    expected[kept] = probabilities[kept] / probabilities[kept].sum()
    assert_drawn_from(draw(Sampler(temperature=2, top_k=3, top_p=0.7)), expected)


SMALL_LOGITS = st.lists(st.integers(-8, 8), min_size=8, max_size=8).map(
    lambda values: np.array(values, np.float32) / 2
)


@settings(max_examples=60, deadline=None)
@given(SMALL_LOGITS, st.integers(1, 8))
def test_top_k_keeps_k_of_the_largest(logits_V, k):
    kept_V = np.asarray(keep_top_k(jnp.asarray(logits_V)[None, :], k))[0]
    kept = np.isfinite(kept_V)
    assert kept.sum() == k
    np.testing.assert_array_equal(kept_V[kept], logits_V[kept])
    assert logits_V[kept].min() >= logits_V[~kept].max(initial=-np.inf)


@settings(max_examples=60, deadline=None)
@given(SMALL_LOGITS, st.floats(0.01, 0.99))
def test_top_p_keeps_the_smallest_set(logits_V, p):
    kept_V = np.asarray(keep_top_p(jnp.asarray(logits_V)[None, :], p))[0]
    kept = np.isfinite(kept_V)
    np.testing.assert_array_equal(kept_V[kept], logits_V[kept])
    probabilities = softmax(logits_V.astype(np.float64))
    descending = np.sort(probabilities)[::-1]
    assert probabilities[kept].sum() >= p - 1e-5
    assert descending[: kept.sum() - 1].sum() < p + 1e-5
    assert logits_V[kept].min() >= logits_V[~kept].max(initial=-np.inf)


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_k": 2.5},
        {"top_p": 0.0},
        {"top_p": 1.5},
    ],
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(UserError, match=next(iter(values))):
        Sampler(**values)


@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 1e-38, 1e-30])
def test_a_tiny_temperature_is_greedy(temperature):
    for top_k, top_p in ((0, 1.0), (3, 0.9)):
        tokens = draw(Sampler(temperature, top_k, top_p), [-3.0, -11.0, -2.0, -4.0], draws=200)
        assert set(tokens.tolist()) == {2}


def test_a_huge_temperature_is_uniform_over_what_is_possible():
    tokens = draw(Sampler(1e300), [-3.0, -np.inf, -2.0, -4.0])
    assert_drawn_from(tokens, np.array([1, 0, 1, 1]) / 3)


def test_large_logits_lose_nothing():
    tokens = draw(Sampler(temperature=0.5), LOGITS + 1000)
    assert_drawn_from(tokens, softmax(LOGITS.astype(np.float64) / 0.5))
