"""Experts against a loop over tokens in numpy: who is chosen, who finds a place, what is sown."""

from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.nn.extras import Collecting
from lmjax.nn.mixture_of_experts import MixtureOfExperts

EXPERTS, WIDTH, INNER = 5, 4, 3
x_BTD = np.random.default_rng(0).normal(size=(2, 7, WIDTH)).astype(np.float32)
normal = nn.initializers.normal(1.0)
make = partial(
    MixtureOfExperts,
    inner_width=INNER,
    bias=True,
    initializer=normal,
    output_initializer=normal,
    experts=EXPERTS,
)


def by_loop(params, count, places=None):
    """`y_ND`, the share of choices without a place, and the loss before its coefficient."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"])
    x_ND = x_BTD.reshape(-1, WIDTH).astype(np.float64)
    score_NX = x_ND @ params["router"]["kernel"]
    probability_NX = np.exp(score_NX) / np.exp(score_NX).sum(axis=1, keepdims=True)
    order_NX = np.argsort(-score_NX, axis=1)
    read, dropped = np.zeros(EXPERTS, int), 0
    y_ND = np.zeros_like(x_ND)
    for choice in range(count):
        for token, x_D in enumerate(x_ND):
            expert = order_NX[token, choice]
            if places is not None and read[expert] >= places:
                dropped += 1
                continue
            read[expert] += 1

            def dense(part, x, expert=expert):
                part = params["experts"][part]
                return x @ part["kernel"][expert] + part["bias"][expert]

            gate_F = dense("gate", x_D)
            inner_F = gate_F / (1 + np.exp(-gate_F)) * dense("up", x_D)
            likely = probability_NX[token, order_NX[token, :count]].sum() if count > 1 else 1.0
            weight = probability_NX[token, expert] / likely
            y_ND[token] += weight * dense("down", inner_F)
    loss = 0.0
    for expert in range(EXPERTS):
        share = np.mean([expert in order[:count] for order in order_NX])
        loss += EXPERTS * share * probability_NX[:, expert].mean()
    return y_ND, dropped / (count * len(x_ND)), loss


@pytest.mark.parametrize(("count", "factor"), [(1, 0.0), (2, 0.0), (1, 1.0), (2, 0.6), (2, 9.0)])
def test_it_is_a_loop_over_tokens_and_their_experts(count, factor):
    layer = make(experts_per_token=count, capacity_factor=factor, balance=0.5)
    params = nn.meta.unbox(layer.init(jax.random.key(0), x_BTD))
    assert set(params) == {"params"}
    collecting = Collecting(layer)
    y_BTD = collecting.apply(params, x_BTD, deterministic=False)
    places = int(np.ceil(factor * 14 * count / EXPERTS)) if factor else None
    expected_ND, dropped, loss = by_loop(params, count, places)
    np.testing.assert_allclose(y_BTD.reshape(-1, WIDTH), expected_ND, rtol=1e-4, atol=1e-5)
    assert collecting.losses == {"load_balancing": pytest.approx(0.5 * loss, rel=1e-5)}
    measures = collecting.measures
    assert 1 <= measures.pop("busiest_expert") <= EXPERTS
    assert measures == ({"dropped_share": pytest.approx(dropped)} if factor else {})
    assert (dropped > 0) == (0 < factor <= 1)
    assert 0.9 * count < loss < EXPERTS

    whole_ND = by_loop(params, count)[0]
    found_BTD = layer.apply(params, x_BTD, deterministic=True)
    np.testing.assert_allclose(found_BTD.reshape(-1, WIDTH), whole_ND, rtol=1e-4, atol=1e-5)


def test_experts_are_drawn_apart_and_their_axes_have_names():
    boxed = make().init(jax.random.key(0), x_BTD)["params"]
    assert boxed["experts"]["up"]["kernel"].names == ("experts", "embed", "mlp")
    assert boxed["experts"]["down"]["bias"].names == ("experts", "embed")
    kernel_XDF = nn.meta.unbox(boxed)["experts"]["up"]["kernel"]
    assert kernel_XDF.shape == (EXPERTS, WIDTH, INNER) and len(np.unique(kernel_XDF)) == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(expert="swigloo"), "did you mean 'swiglu'"),
        (dict(experts_per_token=6), "experts_per_token 6 of experts 5; give at least 1"),
        (dict(capacity_factor=-1.0), "capacity_factor -1.0 and balance 0.01; give zero or more"),
    ],
)
def test_what_cannot_be_is_named(options, message):
    with pytest.raises(UserError, match=message):
        make(**options)
