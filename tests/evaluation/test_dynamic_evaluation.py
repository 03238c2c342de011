"""Dynamic evaluation: by a loop written by hand, after each part of the text and not before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

from lmjax.data.context import ContextPolicy
from lmjax.evaluation import dynamic_evaluation
from lmjax.evaluation.dynamic_evaluation import (
    DynamicEvaluation,
    dynamic_log_probs,
    gradient_roots,
    tune_dynamic,
)
from lmjax.evaluation.scoring import target_log_probs
from lmjax.objectives.causal import Causal
from tests.properties.variants import VOCABULARY, build
from tests.streams import stream_of

SEGMENT, SIZE = 5, 23
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, SIZE).astype(np.int32)
CARRIED = ContextPolicy("carried", rows=2, overlap=3)
ONE_ROW = ContextPolicy("carried")


@pytest.fixture(scope="module")
def given():
    model = build("rnn", dict(width=6, layers=1))
    return model, meta.unbox(model.init(jax.random.key(0), np.zeros((1, 2), np.int32)))


def adapted(given, dynamic, tokens=TOKENS, roots=None, policy=CARRIED, **more):
    stream = stream_of(tokens, start_id=0)
    return dynamic_log_probs(*given, stream, policy, Causal(), dynamic, roots, **more)


def by_hand(model, params, rule, rate, decay, roots=None):
    """The equations of the paper, segment by segment."""
    now, carry = params, model.apply(params, 1, SIZE, method="initial_carry")
    read_N, found = np.append(0, TOKENS[:-1]), []
    everything = None
    if rule == "rms":
        everything = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(roots)]).mean()
    for begin in range(0, SIZE, SEGMENT):
        part = slice(begin, begin + SEGMENT)

        def nats(params, part=part, carry=carry):
            logits_BTV, after = model.apply(params, read_N[None, part], carry)
            probs_TV = jax.nn.log_softmax(logits_BTV[0])
            log_probs_T = probs_TV[np.arange(len(probs_TV)), TOKENS[part]]
            return -log_probs_T.mean(), (log_probs_T, after)

        gradient, (log_probs_T, carry) = jax.grad(nats, has_aux=True)(now)
        found += log_probs_T.tolist()
        if rule == "sgd":
            now = jax.tree.map(
                lambda p, g, t: p - rate * g + decay * (t - p), now, gradient, params
            )
        else:
            now = jax.tree.map(
                lambda p, g, t, s: (
                    p
                    - rate * g / (s + dynamic_evaluation.EPSILON)
                    + decay * np.minimum(s / everything, 1 / decay) * (t - p)
                ),
                now,
                gradient,
                params,
                roots,
            )
    return found


@pytest.mark.parametrize("rule", ["sgd", "rms"])
def test_it_is_the_loop_of_the_paper_and_leaves_the_parameters(given, rule):
    before = jax.tree.map(np.array, given[1])
    roots = None
    if rule == "rms":
        draw = np.random.default_rng(1).uniform
        roots = jax.tree.map(
            lambda leaf: jnp.asarray(draw(1e-3, 0.1, leaf.shape), jnp.float32), given[1]
        )
    rate, decay = {"sgd": (0.5, 0.1), "rms": (3e-3, 0.6)}[rule]
    found_N = adapted(given, DynamicEvaluation(rule, rate, decay, SEGMENT), roots=roots)
    expected_N = by_hand(*given, rule, rate, decay, roots)
    np.testing.assert_allclose(found_N, expected_N, rtol=1e-4)
    plain_N = target_log_probs(*given, stream_of(TOKENS, start_id=0), ONE_ROW, 1)
    assert np.abs(found_N[SEGMENT:] - plain_N[SEGMENT:]).min() > 1e-5
    jax.tree.map(np.testing.assert_array_equal, given[1], before)


def test_without_a_step_it_is_the_plain_score(given):
    dynamic = DynamicEvaluation("sgd", 0.0, 0.1, SEGMENT)
    stream = stream_of(TOKENS, start_id=0)
    for policy in (CARRIED, ContextPolicy("windowed", window=8, stride=3)):
        one_row = ONE_ROW if policy is CARRIED else policy
        plain_N = target_log_probs(*given, stream, one_row, 1)
        np.testing.assert_allclose(adapted(given, dynamic, policy=policy), plain_N, rtol=1e-5)


def test_nothing_is_adapted_to_before_it_is_scored(given):
    """Up to the changed target all is the same, that target's own part being scored first."""
    dynamic, changed = DynamicEvaluation("sgd", 0.5, 0.0, SEGMENT), TOKENS.copy()
    place = 2 * SEGMENT + 1
    changed[place] = (changed[place] + 1) % VOCABULARY
    found_N, other_N = (adapted(given, dynamic, tokens) for tokens in (TOKENS, changed))
    assert np.array_equal(found_N[:place], other_N[:place])
    assert np.abs(found_N[3 * SEGMENT :] - other_N[3 * SEGMENT :]).min() > 0


def test_roots_are_of_the_mean_square_of_gradients_by_parts(given, monkeypatch):
    monkeypatch.setattr(dynamic_evaluation, "ROWS", 1)
    model, params = given
    stream = stream_of(TOKENS[:10], start_id=0)
    roots = gradient_roots(model, params, stream, CARRIED, Causal(), SEGMENT)
    read_N, squares = np.append(0, TOKENS[:9]), []
    carry = model.apply(params, 1, 10, method="initial_carry")
    for part in (slice(0, 5), slice(5, 10)):

        def nats(params, part=part, carry=carry):
            given = read_N[None, part], TOKENS[None, part], carry
            log_probs_BT, after = model.apply(params, *given, method="log_probs")
            return -log_probs_BT.mean(), after

        gradient, carry = jax.grad(nats, has_aux=True)(params)
        squares.append(jax.tree.map(np.square, gradient))
    jax.tree.map(
        lambda root, a, b: np.testing.assert_allclose(
            root, np.sqrt((a + b) / 2), rtol=1e-4, atol=1e-7
        ),
        roots,
        *squares,
    )


def test_the_best_of_what_is_tried_is_chosen_on_the_first_targets(given):
    stream = stream_of(TOKENS, start_id=0)
    tuned = stream, CARRIED, Causal(), "sgd", SEGMENT, None, (0.0, 0.3, 1e30), (0.0,), 12
    dynamic, tried = tune_dynamic(*given, *tuned)
    assert [trial["learning_rate"] for trial in tried] == [0.0, 0.3, 1e30]
    nats = [
        -adapted(given, DynamicEvaluation("sgd", r, 0.0, 5), targets=12).sum() for r in (0, 0.3)
    ]
    np.testing.assert_allclose([trial["total_nats"] for trial in tried[:2]], nats, rtol=1e-6)
    found = [trial["total_nats"] or np.inf for trial in tried]
    assert dynamic.learning_rate == tried[int(np.argmin(found))]["learning_rate"]
