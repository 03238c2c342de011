from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

from lmjax.errors import UserError
from lmjax.mixers import past_attention
from lmjax.mixers.past_attention import PastAttention
from lmjax.mixers.scores import additive, dot
from lmjax.nn.initializers import symmetric_uniform

ROWS, LENGTH, SPAN, WIDTH = 2, 7, 3, 6
POSITIONS_BT = np.array([[0, 1, 2, 3, 4, 5, 6], [5, 6, 0, 1, 0, 1, 2]])


def draw(*shapes):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("name", ["additive", "dot"])
def test_parallel_is_step_after_step(name):
    query_BTK, keys_BNK, values_BNK, weights_BK1, pull_BTK = draw(
        (ROWS, LENGTH, WIDTH),
        (ROWS, SPAN + LENGTH, WIDTH),
        (ROWS, SPAN + LENGTH, WIDTH),
        (ROWS, WIDTH, 1),
        (ROWS, LENGTH, WIDTH),
    )
    score = partial(additive, weights_BK1) if name == "additive" else dot
    visible_BTS = POSITIONS_BT[:, :, None] >= np.arange(SPAN, 0, -1)

    def steps(query_BTK, keys_BNK, values_BNK):
        contexts = [
            past_attention.step(
                score,
                query_BTK[:, time],
                keys_BNK[:, time : time + SPAN],
                values_BNK[:, time : time + SPAN],
                visible_BTS[:, time],
            )
            for time in range(LENGTH)
        ]
        return jnp.stack(contexts, axis=1)

    def value_and_gradients(form):
        context_BTK, pull = jax.vjp(form, query_BTK, keys_BNK, values_BNK)
        return context_BTK, pull(pull_BTK)

    whole = value_and_gradients(
        lambda *arrays: past_attention.parallel(score, *arrays, visible_BTS)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        whole,
        value_and_gradients(steps),
    )
    np.testing.assert_array_equal(whole[0][POSITIONS_BT == 0], 0)


@pytest.mark.parametrize("score", past_attention.SCORES)
def test_layer_follows_the_papers(score):
    """Token by token in NumPy; a memory of two outputs of another segment stands before."""
    layer = PastAttention(width=WIDTH, score=score, span=SPAN, initializer=symmetric_uniform(1.0))
    memory_width = past_attention.memory_width(score, WIDTH)
    x_BTD, memory_BSM = draw((1, LENGTH, WIDTH), (1, SPAN, memory_width))
    arguments = x_BTD, memory_BSM, POSITIONS_BT[:1], None, True
    boxed = layer.init(jax.random.key(0), *arguments)
    y_BTK, carry_BSM = layer.apply(boxed, *arguments)
    params = meta.unbox(boxed)["params"]
    kernel = {name: leaf["kernel"] for name, leaf in params.items() if name != "score"}
    width = past_attention.head_width(score, WIDTH)
    keys, values, predicts = (
        np.split(x_BTD[0], 3, axis=1) if score == "key_value_predict" else [x_BTD[0]] * 3
    )
    for time in range(LENGTH):
        past = range(max(0, time - SPAN), time)
        scores = []
        for before in past:
            if score in ("additive", "key_value_predict"):
                both = keys[time] @ kernel["query"] + keys[before] @ kernel["key"]
                scores.append(np.tanh(both) @ params["score"])
            elif score == "general":
                scores.append(keys[time] @ kernel["query"] @ keys[before])
            else:
                scores.append(keys[time] @ keys[before])
        weights = np.exp(scores) / np.sum(np.exp(scores))
        context = sum((w * values[b] for w, b in zip(weights, past, strict=True)), np.zeros(width))
        expected = np.tanh(np.concatenate([context, predicts[time]]) @ kernel["output"])
        np.testing.assert_allclose(y_BTK[0, time], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(carry_BSM, x_BTD[:, -SPAN:, :memory_width])


def test_wrong_scores_and_widths_are_named():
    with pytest.raises(UserError, match="'additive'"):
        past_attention.head_width("aditive", WIDTH)
    with pytest.raises(UserError, match="model.width=6"):
        past_attention.head_width("key_value_predict", 7)
