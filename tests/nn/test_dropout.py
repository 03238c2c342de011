import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn.dropout import Dropout, dropout_rate

X_BD = jnp.arange(1.0, 41.0).reshape(4, 10)
RNGS = {"dropout": jax.random.key(3)}


@pytest.mark.parametrize("dims", [(), (1,)])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_it_is_flax_dropout_whether_its_rate_is_its_own_or_given(rate, dims):
    peer = nn.Dropout(rate, dims).apply({}, X_BD, deterministic=False, rngs=RNGS)
    own = Dropout(rate, dims).apply({}, X_BD, deterministic=False, rngs=RNGS)
    np.testing.assert_array_equal(own, peer)

    @jax.jit
    def given(rate):
        with dropout_rate(rate):
            return Dropout(0.9, dims).apply({}, X_BD, deterministic=False, rngs=RNGS)

    np.testing.assert_allclose(given(jnp.float32(rate)), peer, rtol=1e-6)
    with dropout_rate(jnp.float32(0.9)):
        of_another_field = Dropout(rate, dims, of_model=False)
        again = of_another_field.apply({}, X_BD, deterministic=False, rngs=RNGS)
    np.testing.assert_array_equal(again, peer)


def test_a_rate_of_zero_leaves_nothing_to_be_counted():
    def drop(x_BD):
        with dropout_rate(0.0):
            of_other = Dropout(0.5, of_model=False)
            return of_other.apply({}, Dropout(0.5).apply({}, x_BD, False), False)

    assert not jax.make_jaxpr(drop)(X_BD).eqns


def test_a_given_rate_does_not_make_a_deterministic_call_random():
    with dropout_rate(jnp.float32(0.5)):
        np.testing.assert_array_equal(Dropout(0.0).apply({}, X_BD, deterministic=True), X_BD)
