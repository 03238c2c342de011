"""Each pooling of a text of any length is that of its tokens alone, by NumPy."""

import jax
import numpy as np
import pytest

from lmjax.nn.pooling import POOLINGS, AttentionPooling

LENGTHS = (4, 1, 0, 3)
GENERATOR = np.random.default_rng(0)
X_BSD = GENERATOR.standard_normal((len(LENGTHS), 4, 3)).astype(np.float32)
IS_OF_TEXT_BS = np.arange(4)[None, :] < np.array(LENGTHS)[:, None]
BY_NUMPY = {
    "mean": lambda x_SD: x_SD.mean(axis=0),
    "max": lambda x_SD: x_SD.max(axis=0),
    "first": lambda x_SD: x_SD[0],
    "last": lambda x_SD: x_SD[-1],
}


def expected(of_text, is_of_text_BS=IS_OF_TEXT_BS):
    rows = [x_SD[kept_S] for x_SD, kept_S in zip(X_BSD, is_of_text_BS, strict=True)]
    return [of_text(x_SD) if len(x_SD) else np.zeros(3) for x_SD in rows]


@pytest.mark.parametrize("name", POOLINGS)
def test_it_is_of_the_tokens_alone(name):
    broken_BSD = np.where(IS_OF_TEXT_BS[..., None], X_BSD, np.nan)
    found_BD = POOLINGS[name](broken_BSD, IS_OF_TEXT_BS)
    np.testing.assert_allclose(found_BD, expected(BY_NUMPY[name]), rtol=1e-6, atol=1e-7)
    # Texts that begin further on, as the second one of a pair does.
    behind_BS = np.array([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    found_BD = POOLINGS[name](X_BSD, behind_BS)
    of_second = expected(BY_NUMPY[name], behind_BS)
    np.testing.assert_allclose(found_BD, of_second, rtol=1e-6, atol=1e-7)


def test_attention_weighs_by_the_softmax_of_v_w_x():
    pooling = AttentionPooling(jax.nn.initializers.normal(1.0))
    params = jax.tree.map(np.asarray, pooling.init(jax.random.key(0), X_BSD, IS_OF_TEXT_BS))
    boxed = params["params"]
    kernels = (boxed[name]["kernel"] for name in ("keys", "query"))
    keys_DD, query_D1 = (np.asarray(getattr(kernel, "value", kernel)) for kernel in kernels)

    def of_text(x_SD):
        scores_S = np.exp((x_SD @ keys_DD @ query_D1)[:, 0])
        return (scores_S / scores_S.sum()) @ x_SD

    found_BD = pooling.apply(params, X_BSD, IS_OF_TEXT_BS)
    np.testing.assert_allclose(found_BD, expected(of_text), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", POOLINGS)
def test_a_text_without_tokens_has_a_gradient(name):
    def total(x_BSD):
        return POOLINGS[name](x_BSD, IS_OF_TEXT_BS).sum()

    gradient_BSD = np.asarray(jax.grad(total)(X_BSD))
    assert np.isfinite(gradient_BSD).all() and not gradient_BSD[2].any()
    assert not gradient_BSD[~IS_OF_TEXT_BS].any() and gradient_BSD[0].any()
