"""Dropout whose rate may come from outside of the model, so that one program has many rates."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import flax.linen as nn
import jax
import jax.numpy as jnp

_RATE: ContextVar[jax.Array | float | None] = ContextVar("rate", default=None)


@contextmanager
def dropout_rate(rate: jax.Array | float | None) -> Iterator[None]:
    """While a model is traced within, every `Dropout` has this rate; None: its own.

    0.0, as a number of Python's: nothing at all is dropped out, whatever field a rate is of.
    """
    token = _RATE.set(rate)
    try:
        yield
    finally:
        _RATE.reset(token)


class Dropout(nn.Dropout):
    """Flax's dropout, with the rate of `dropout_rate` where there is one; the masks are the same.

    Srivastava et al. (2014). Along `broadcast_dims` a mask is the same everywhere.
    """

    of_model: bool = True  # False: the rate is of another field than model.dropout, and its own

    @nn.compact
    def __call__(self, inputs, deterministic: bool | None = None):
        rate = _RATE.get()
        if isinstance(rate, float) and rate == 0.0:
            return inputs
        if rate is None or not self.of_model:
            return super().__call__(inputs, deterministic)
        if nn.merge_param("deterministic", self.deterministic, deterministic):
            return inputs
        key = self.make_rng(self.rng_collection)
        sizes = enumerate(inputs.shape)
        shape = tuple(1 if dim in self.broadcast_dims else size for dim, size in sizes)
        is_kept = jax.random.bernoulli(key, 1.0 - rate, shape)
        kept = inputs / (1.0 - rate).astype(inputs.dtype)
        return jnp.where(is_kept, kept, jnp.zeros_like(inputs))


def dropout_in_a_loop(
    module: nn.Module, rate: float, deterministic: bool
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """`drop(inputs, time)` of a module's layer, by a mask of its own at each `time`, an integer.

    Within a loop of JAX no module of a model may be called: this one is of none, with a key.
    """
    dropout = Dropout(rate, deterministic=deterministic, parent=None)
    keys = {name: module.make_rng(name) for name in ("dropout",) if module.has_rng(name)}

    def drop(inputs, time):
        rngs = {name: jax.random.fold_in(key, time) for name, key in keys.items()}
        return dropout.apply({}, inputs, rngs=rngs)

    return drop
