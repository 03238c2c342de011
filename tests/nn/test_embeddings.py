import jax
import numpy as np

from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.initializers import symmetric_uniform

VOCABULARY, WIDTH = 5, 3


def test_rows_are_read_and_attended_to():
    embedding = TokenEmbedding(VOCABULARY, WIDTH)
    tokens_BT = np.array([[4, 0], [1, 4]])
    params = embedding.init(jax.random.key(0), tokens_BT)
    table_VD = params["params"]["embedding"].unbox()
    x_BTD = embedding.apply(params, tokens_BT)
    np.testing.assert_array_equal(x_BTD[0, 0], table_VD[4])
    np.testing.assert_array_equal(x_BTD[1, 0], table_VD[1])
    logits_BTV = embedding.apply(params, x_BTD, method="attend")
    np.testing.assert_allclose(logits_BTV[0, 1], table_VD @ table_VD[0], rtol=1e-6)


def test_symmetric_uniform_fills_its_interval():
    values = symmetric_uniform(0.1)(jax.random.key(0), (10_000,))
    assert -0.1 <= values.min() < -0.099 and 0.099 < values.max() <= 0.1
    assert abs(values.mean()) < 0.002
