"""Variants of the LSTM against loops over the papers' equations, token by token."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.mixers.registry import mixer_maker
from lmjax.nn.initializers import symmetric_uniform

ROWS, LENGTH, INPUT, WIDTH = 2, 7, 4, 5
BEGINS_BT = np.array([[1, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 1, 0]], bool)
x_BTE = np.random.default_rng(0).normal(size=(ROWS, LENGTH, INPUT)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalised(x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def lstm(sums, c, see=(0, 0, 0)):
    i, f, g, o = np.split(sums, 4)
    c = sigmoid(f + see[1] * c) * c + sigmoid(i + see[0] * c) * np.tanh(g)
    return sigmoid(o + see[2] * c), c


def peephole(p, x, h, c):
    sums = x @ p["input_kernel"] + h @ p["recurrent_kernel"] + p["bias"]
    o, c = lstm(sums, c, p["peepholes"])
    return o * np.tanh(c), c


def layer_norm(p, x, h, c):
    def norm(name, vector):
        return normalised(vector) * p[f"{name}_norm_scale"] + p[f"{name}_norm_shift"]

    sums = norm("input", x @ p["input_kernel"]) + norm("recurrent", h @ p["recurrent_kernel"])
    o, c = lstm(sums + p["bias"], c)
    return o * np.tanh(norm("cell", c)), c


def projected(p, x, h, c):
    o, c = lstm(x @ p["input_kernel"] + h @ p["recurrent_kernel"] + p["bias"], c)
    return (o * np.tanh(c)) @ p["output_kernel"], c


def mogrifier(p, x, h, c, low_rank=False):
    for index in range(1, 5):
        source = h if index % 2 else x
        if low_rank:
            source = source @ p[f"down_{index}_kernel"]
        gate = 2 * sigmoid(source @ p[f"gate_{index}_kernel"])
        x, h = (gate * x, h) if index % 2 else (x, gate * h)
    o, c = lstm(x @ p["input_kernel"] + h @ p["recurrent_kernel"] + p["bias"], c)
    return o * np.tanh(c), c


CASES = [
    ("peephole_lstm", {}, peephole, WIDTH),
    ("layer_norm_lstm", {}, layer_norm, WIDTH),
    ("projected_lstm", {"cells": 3}, projected, 3),
    ("projected_lstm", {}, projected, 2 * WIDTH),
    ("mogrifier_lstm", {"rounds": 4}, mogrifier, WIDTH),
    ("mogrifier_lstm", {"rounds": 4, "rank": 2}, lambda *a: mogrifier(*a, low_rank=True), WIDTH),
]


@pytest.mark.parametrize(("name", "options", "step", "cells"), CASES)
def test_outputs_and_carry_are_those_of_the_equations(name, options, step, cells):
    given = dict(width=WIDTH, initializer=symmetric_uniform(1.0), forget_bias=0.5)
    mixer = mixer_maker(name, options, given)(parent=None)
    positions_BT = np.zeros((ROWS, LENGTH), np.int32)
    for t in range(1, LENGTH):
        positions_BT[:, t] = np.where(BEGINS_BT[:, t], 0, positions_BT[:, t - 1] + 1)
    context = positions_BT, np.cumsum(BEGINS_BT, axis=1), True
    carry = mixer.initial_carry(ROWS, LENGTH)
    params = nn.meta.unbox(mixer.init(jax.random.key(0), x_BTE, carry, *context))
    params = jax.tree.map(
        lambda leaf: leaf + 0.1 * np.cos(np.arange(leaf.size)).reshape(leaf.shape), params
    )
    y_BTD, (h_BD, c_BE) = jax.jit(mixer.apply)(params, x_BTE, carry, *context)
    p = jax.tree.map(np.float64, params["params"])
    for row in range(ROWS):
        for t in range(LENGTH):
            if BEGINS_BT[row, t]:
                h, c = np.zeros(WIDTH), np.zeros(cells)
            h, c = step(p, x_BTE[row, t].astype(np.float64), h, c)
            np.testing.assert_allclose(y_BTD[row, t], h, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(h_BD[row], h, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(c_BE[row], c, rtol=1e-4, atol=1e-5)


def test_forget_bias_moves_the_forget_gate_alone():
    biases = []
    for forget_bias in (0.0, 2.0):
        given = dict(width=WIDTH, initializer=symmetric_uniform(1.0), forget_bias=forget_bias)
        mixer = mixer_maker("peephole_lstm", {}, given)(parent=None)
        positions_BT = np.arange(LENGTH)[None]
        params = mixer.init(jax.random.key(0), x_BTE, None, positions_BT, None, True)
        biases.append(nn.meta.unbox(params)["params"]["bias"])
    moved = np.zeros(4 * WIDTH)
    moved[WIDTH : 2 * WIDTH] = 2.0
    np.testing.assert_allclose(biases[1] - biases[0], moved, atol=1e-6)
