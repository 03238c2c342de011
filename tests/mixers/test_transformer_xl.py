"""Transformer-XL against loops over its paper's equations; its memory; no gradient into it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.transformer_xl import TransformerXL

ROWS, LENGTH, HEADS, HEAD_WIDTH, WIDTH, MEMORY = 2, 9, 3, 2, 5, 4
generator = np.random.default_rng(0)
x_BTD = generator.normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
positions_BT = np.arange(LENGTH)[None]


def mixer(**changes):
    normal = nn.initializers.normal(0.5)
    fields = dict(heads=HEADS, dropout=0.0, bias=True, head_width=HEAD_WIDTH, memory=MEMORY)
    return TransformerXL(
        width=WIDTH, initializer=normal, output_initializer=normal, **(fields | changes)
    )


@pytest.fixture(scope="module")
def params():
    initialize = jax.jit(mixer().init, static_argnums=5)
    boxed = initialize(jax.random.key(0), x_BTD, None, positions_BT, None, True)
    return jax.tree.map(lambda leaf: leaf + 0.1, nn.meta.unbox(boxed))


def read(params, x_BTD, carry=None, begin=0, **changes):
    positions_BT = begin + np.arange(x_BTD.shape[1])[None]
    return mixer(**changes).apply(params, x_BTD, carry, positions_BT, None, True)


def by_equations(params, x_TD, memory, farthest=0):
    """Dai et al. (2019), section 3.3: A_ij with its four terms, token by token, head by head."""
    weights = {
        name: np.float64(leaf) for name, leaf in params["params"].items() if name != "output"
    }
    output = {name: np.float64(leaf) for name, leaf in params["params"]["output"].items()}
    of_head = {
        name: leaf.reshape(WIDTH, HEADS, HEAD_WIDTH)
        for name, leaf in weights.items()
        if "kernel" in name
    }
    y_TD = []
    for i in range(len(x_TD)):
        heads = []
        for head in range(HEADS):
            q, k_e, k_r, w_v = (
                of_head[f"{name}_kernel"][:, head].T
                for name in ("query", "key", "position", "value")
            )
            u, v = weights["content_bias"][head], weights["position_bias"][head]
            scores, values = [], []
            for j in range(max(0, i - memory), i + 1):
                distance = min(i - j, farthest) if farthest else i - j
                waves = distance / 10_000 ** (np.arange(0, WIDTH, 2) / WIDTH)
                r = np.concatenate([np.sin(waves), np.cos(waves)])[:WIDTH]
                content = (q @ x_TD[i]) @ (k_e @ x_TD[j])  # (a)
                position = (q @ x_TD[i]) @ (k_r @ r)  # (b)
                content_bias, position_bias = u @ (k_e @ x_TD[j]), v @ (k_r @ r)  # (c), (d)
                scores.append(content + position + content_bias + position_bias)
                values.append(w_v @ x_TD[j])
            weight = np.exp(np.array(scores) / HEAD_WIDTH**0.5)
            heads.append(weight / weight.sum() @ np.array(values))
        y_TD.append(np.concatenate(heads) @ output["kernel"] + output["bias"])
    return np.array(y_TD)


@pytest.mark.parametrize("changes", [dict(), dict(chunk=4), dict(form="step"), dict(farthest=2)])
def test_it_follows_the_equations_of_the_paper(params, changes):
    found_BTD, _ = read(params, x_BTD, **changes)
    for row in range(ROWS):
        expected_TD = by_equations(
            params, np.float64(x_BTD[row]), MEMORY, changes.get("farthest", 0)
        )
        np.testing.assert_allclose(found_BTD[row], expected_TD, rtol=1e-5, atol=1e-5)


def test_the_carry_is_the_last_tokens_as_they_were_read(params):
    carry = mixer().initial_carry(ROWS, 1000)
    for part in (slice(0, 3), slice(3, 8)):
        _, carry = read(params, x_BTD[:, part], carry, part.start)
    np.testing.assert_array_equal(carry, x_BTD[:, 8 - MEMORY : 8])


def test_no_gradient_goes_into_the_memory_and_all_of_it_within_a_call(params):
    def last(x_BTD, sizes):
        carry, begin = mixer().initial_carry(ROWS, LENGTH), 0
        for size in sizes:
            y_BTD, carry = read(params, x_BTD[:, begin : begin + size], carry, begin)
            begin += size
        return y_BTD[:, -1].sum()

    at_once_BTD, in_two_BTD = (
        jax.jit(jax.grad(last), static_argnums=1)(x_BTD, sizes)
        for sizes in ((LENGTH,), (LENGTH - 2, 2))
    )
    seen = slice(LENGTH - 1 - MEMORY, LENGTH)
    assert (np.abs(at_once_BTD[:, seen]).max(axis=(0, 2)) > 1e-3).all()
    assert not np.any(at_once_BTD[:, : seen.start])
    assert not np.any(in_two_BTD[:, :-2])
    np.testing.assert_allclose(in_two_BTD[:, -2:], at_once_BTD[:, -2:], rtol=1e-5, atol=1e-6)


def test_a_longer_memory_reads_the_same_parameters(params):
    found_BTD, _ = read(params, x_BTD, memory=7)
    expected_TD = by_equations(params, np.float64(x_BTD[0]), 7)
    np.testing.assert_allclose(found_BTD[0], expected_TD, rtol=1e-5, atol=1e-5)
    assert np.abs(found_BTD - read(params, x_BTD)[0])[:, MEMORY + 1 :].max() > 1e-2


def test_dropout_falls_on_the_weights_in_each_chunk_by_itself(params):
    def draw(chunk):
        fields = dict(dropout=0.5, chunk=chunk)
        arguments = params, x_BTD, None, positions_BT, None, False
        return mixer(**fields).apply(*arguments, rngs={"dropout": jax.random.key(1)})[0]

    same_BTD = jnp.broadcast_to(x_BTD[:, :1], x_BTD.shape)
    arguments = params, same_BTD, None, np.zeros_like(positions_BT), None, False
    rngs = {"dropout": jax.random.key(1)}
    y_BTD, _ = mixer(dropout=0.5, chunk=3).apply(*arguments, rngs=rngs)
    chunks_BCTD = y_BTD.reshape(ROWS, 3, 3, WIDTH)  # each token sees itself alone
    assert np.abs(chunks_BCTD[:, 0] - chunks_BCTD[:, 1]).max() > 1e-2
    np.testing.assert_array_equal(draw(100), draw(LENGTH))
    assert np.abs(draw(100) - read(params, x_BTD)[0]).max() > 1e-2


@pytest.mark.parametrize("changes", [dict(memory=0), dict(chunk=0), dict(farthest=-1)], ids=str)
def test_what_cannot_be_is_named(changes):
    with pytest.raises(UserError, match=f"{next(iter(changes))} of transformer_xl is"):
        mixer(**changes)
