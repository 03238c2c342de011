"""RWKV-7 against loops over tokens and heads, from the equations of Peng et al. (2025)."""

from functools import partial

import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.forms import by_steps
from lmjax.mixers.rwkv7 import FASTEST, LONGEST, parallel, rank_of, step
from tests.mixers.whole_layer import (
    HEADS,
    WIDTH,
    check_extremes,
    check_layer,
    head_norm,
    make_layer,
    sigmoid,
)

K = WIDTH // HEADS


def time_mixing(params, x_TD):
    """Section 4.1; a state has rows of values and columns of keys, as there."""

    def low_rank(name, x_D, activation):
        return activation(x_D @ params[f"{name}_down"]["kernel"]) @ params[f"{name}_up"]["kernel"]

    states, last_D, found = np.zeros((HEADS, K, K)), np.zeros(WIDTH), []
    for x_D in x_TD:
        mixed = {name: x_D + (last_D - x_D) * params[f"mix_{name}"] for name in "rwkvag"}
        r, k, v = (
            mixed[of] @ params[name]["kernel"]
            for of, name in dict(r="receptance", k="key", v="value").items()
        )
        d = params["decay_bias"] + low_rank("decay", mixed["w"], np.tanh)
        w = np.exp(-np.exp(-0.5) * sigmoid(d))
        a = sigmoid(params["rate_bias"] + low_rank("rate", mixed["a"], lambda x: x))
        g = low_rank("gate", mixed["g"], sigmoid)
        removal = k * params["removal_scale"]
        replacement = k * (1 + (a - 1) * params["replacement"])
        outputs, bonuses = [], []
        for head in range(HEADS):
            part = slice(head * K, (head + 1) * K)
            kappa = removal[part] / np.linalg.norm(removal[part])
            transition = np.diag(w[part]) - np.outer(kappa, a[part] * kappa)
            states[head] = states[head] @ transition + np.outer(v[part], replacement[part])
            outputs.append(states[head] @ r[part])
            bonuses.append((r[part] * params["bonus"][part]) @ replacement[part] * v[part])
        normed = head_norm(np.array(outputs), params["norm"], epsilon=1e-5 * K)
        found.append((g * (normed + np.concatenate(bonuses))) @ params["output"]["kernel"])
        last_D = x_D
    return np.array(found)


def channel_mixing(params, x_TD):
    """Section 4.2; with a receptance, section 3 of Peng et al. (2023)."""
    before_TD = np.concatenate([np.zeros((1, WIDTH)), x_TD[:-1]])
    k_TF = (x_TD + (before_TD - x_TD) * params["mix"]) @ params["key"]["kernel"]
    y_TD = np.maximum(k_TF, 0) ** 2 @ params["value"]["kernel"]
    if "receptance" in params:
        mixed_TD = x_TD + (before_TD - x_TD) * params["mix_receptance"]
        y_TD *= sigmoid(mixed_TD @ params["receptance"]["kernel"])
    return y_TD


def test_time_mixing_follows_the_paper():
    check_layer("rwkv7", time_mixing, chunk=4, decay_rank=3, rate_rank=2, gate_rank=5)


@pytest.mark.parametrize("receptance", [False, True])
def test_channel_mixing_follows_the_papers(receptance):
    check_layer("rwkv_channel_mixing", channel_mixing, receptance=receptance)


def test_the_longest_chunk_of_the_strongest_decays_is_safe():
    """All of its outputs are right, and all gradients are numbers."""
    random = np.random.default_rng(0)
    state = np.float32(random.normal(size=(1, 1, K, K)))
    r, k, v, kappa = random.normal(size=(4, 1, LONGEST, 1, K)).astype(np.float32)
    kappa /= np.linalg.norm(kappa, axis=-1, keepdims=True)
    log_w, a = np.full_like(k, -FASTEST), np.ones_like(k)
    inputs = [r, log_w, k, v, kappa, a, np.zeros((1, LONGEST), bool)]
    form = [jax.jit(parallel), jax.jit(partial(by_steps, step))]
    check_extremes(form, state, inputs)
    for found, expected in zip(*(one(state, *inputs) for one in form), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_what_can_not_be_is_refused():
    assert [rank_of(2.5, width) for width in (16, 768, 4096)] == [32, 64, 160]
    with pytest.raises(UserError, match="chunk of rwkv7 is 129; it is from 1 to 128"):
        make_layer("rwkv7", chunk=129)
    with pytest.raises(UserError, match="expansion of rwkv_channel_mixing is 0"):
        make_layer("rwkv_channel_mixing", expansion=0)
