"""What a model gives beside its logits while it is trained: auxiliary losses, and measures.

A module sows them wherever they arise: in loops over layers, where these are rematerialised, in
replicas. They are kept only of what is applied through `Collecting`, as the training step does.
"""

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

LOSSES, MEASURES = "losses", "measures"  # collections of a module's variables
SOWN = (LOSSES, MEASURES)


def sow_loss(module: nn.Module, name: str, loss: jax.Array) -> None:
    """Adds to the auxiliary loss of that name a number already multiplied by its coefficient."""
    _sow(module, LOSSES, name, loss)


def sow_measure(module: nn.Module, name: str, measure: jax.Array) -> None:
    """Tells a number that nothing is descended of; in the end it is the mean of all of its name."""
    _sow(module, MEASURES, name, jax.lax.stop_gradient(measure))


def _sow(module, collection, name, number):
    if not module.is_initializing():  # or it would be among the parameters
        module.sow(collection, name, number)


class Collecting:
    """A model whose `apply` keeps what its modules sow; it is used like the model itself.

    It is of one trace: made anew for each program, and not applied inside of a loop.
    """

    def __init__(self, model: nn.Module):
        self._model, self._sown = model, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def apply(self, *arguments: Any, **context: Any) -> Any:
        """The model's `apply`."""
        result, sown = self._model.apply(*arguments, **context, mutable=list(SOWN))
        self._sown.append(sown)
        return result

    @property
    def losses(self) -> dict[str, jax.Array]:
        """The sum over all that was sown of each name."""
        return {name: numbers_N.sum() for name, numbers_N in self._by_name(LOSSES)}

    @property
    def measures(self) -> dict[str, jax.Array]:
        """The mean over all that was sown of each name."""
        return {name: numbers_N.mean() for name, numbers_N in self._by_name(MEASURES)}

    def _by_name(self, collection: str) -> Iterator[tuple[str, jax.Array]]:
        found: dict[str, list[jax.Array]] = {}
        for sown in self._sown:
            for path, leaf in jax.tree_util.tree_leaves_with_path(sown.get(collection, {})):
                name = [key.key for key in path if isinstance(key, jax.tree_util.DictKey)][-1]
                found.setdefault(name, []).append(jnp.ravel(leaf))
        for name in sorted(found):
            yield name, jnp.concatenate(found[name]).astype(jnp.float32)
