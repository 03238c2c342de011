import jax
import numpy as np
import pytest
from flax.linen import meta

from lmjax.mixers import loop, source_attention
from lmjax.mixers.source_attention import SourceAttention
from lmjax.nn.initializers import symmetric_uniform

ROWS, LENGTH, SLOTS, WIDTH = 2, 3, 5, 4
VISIBLE_BS = np.array([[True] * 5, [True] * 3 + [False] * 2])


def draw(*shapes):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("score", source_attention.SCORES)
def test_both_forms_follow_the_papers(score):
    encoded = WIDTH if score == "dot" else 6
    query_BTD, encoded_BSE = draw((ROWS, LENGTH, WIDTH), (ROWS, SLOTS, encoded))
    attention = SourceAttention(score, WIDTH, symmetric_uniform(1.0))

    def read(attention):
        memory = attention.remember(encoded_BSE, VISIBLE_BS)
        return attention(query_BTD, memory), attention.arguments(memory)

    ((whole, arguments), boxed) = attention.init_with_output(jax.random.key(0), method=read)
    params = jax.tree.map(np.asarray, meta.unbox(boxed).get("params", {}))

    def one(multiply, fixed, state, query_BD):
        return state, source_attention.step(multiply, fixed, query_BD)

    _, stepped = loop.sequence(one, *meta.unbox(arguments), (), query_BTD.swapaxes(0, 1))
    for context_BTE, weights_BTS in (whole, [leaf.swapaxes(0, 1) for leaf in stepped]):
        for row, time in np.ndindex(ROWS, LENGTH):
            query, keys = query_BTD[row, time], encoded_BSE[row][VISIBLE_BS[row]]
            if score == "dot":
                scores = keys @ query
            elif score == "general":
                scores = keys @ params["key"]["kernel"] @ query
            else:
                sums = query @ params["query_kernel"] + keys @ params["key"]["kernel"]
                scores = np.tanh(sums) @ params["score"]
            weights = np.exp(scores) / np.exp(scores).sum()
            found = weights_BTS[row, time][VISIBLE_BS[row]]
            np.testing.assert_allclose(found, weights, rtol=1e-4)
            np.testing.assert_allclose(context_BTE[row, time], weights @ keys, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(weights_BTS[1, :, 3:], 0)
