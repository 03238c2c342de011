"""One step of training: a pure function of the state and the batch."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from lmjax.data.batch import Batch
from lmjax.errors import UserError, nearest
from lmjax.models.contract import LanguageModel, initial_carry, restart_rows
from lmjax.nn.leaves import leaf_name
from lmjax.objectives.causal import causal_nats
from lmjax.training.schedules import Schedule
from lmjax.training.state import TrainState, random_key

REDUCTIONS = ("token_mean", "sequence_mean")


@dataclass(frozen=True)
class TrainStep:
    """What a step needs beside its arguments; `axis_name` is that of the devices under pmap."""

    model: LanguageModel
    optimizer: optax.GradientTransformation
    schedule: Schedule
    seed: int
    loss_reduction: str = "token_mean"
    accumulation_steps: int = 1
    skip_nonfinite: bool = False  # a step that is not finite changes nothing but its number
    axis_name: str | None = None

    def __post_init__(self):
        if self.loss_reduction not in REDUCTIONS:
            hint = nearest(self.loss_reduction, REDUCTIONS)
            raise UserError(f"unknown training.loss_reduction {self.loss_reduction!r}: {hint}")

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        """The next state, and what the step was like.

        Of the step: `nats`, `weight`, `learning_rate`, `gradient_norm`. Of each leaf of the
        parameters, in the order of `leaf_names`: `squared_norms_L` of the gradient, and whether it
        was finite before the step and after it: `before_finite_L`, `after_finite_L`.
        """
        weight = self._total(batch.weights_BT.sum())
        rows = self._total(jnp.float32(batch.continues_B.shape[0]))
        denominator = weight if self.loss_reduction == "token_mean" else rows
        nats, carry, gradient = self._gradient(state, batch, jnp.maximum(denominator, 1.0))
        gradient = self._total(gradient)
        squared_norms_L = jnp.stack(
            [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradient)]
        )
        learning_rate = self.schedule(state.step) * state.learning_rate_scale
        direction, optimizer_state = self.optimizer.update(
            gradient, state.optimizer_state, state.params
        )
        params = jax.tree.map(lambda p, d: p - learning_rate * d, state.params, direction)
        metrics = {
            "nats": self._total(nats),
            "weight": weight,
            "learning_rate": learning_rate,
            "gradient_norm": jnp.sqrt(squared_norms_L.sum()),
            "squared_norms_L": squared_norms_L,
            "before_finite_L": _finite_leaves(state.params),
            "after_finite_L": _finite_leaves(params),
        }
        after = replace(
            state,
            step=state.step + 1,
            params=params,
            optimizer_state=optimizer_state,
            carry=carry,
        )
        if self.skip_nonfinite:
            unchanged = replace(state, step=state.step + 1)
            finite = jnp.isfinite(metrics["nats"]) & jnp.isfinite(metrics["gradient_norm"])
            finite &= metrics["before_finite_L"].all() & metrics["after_finite_L"].all()
            after = jax.tree.map(lambda a, b: jnp.where(finite, a, b), after, unchanged)
        return after, metrics

    def _gradient(self, state: TrainState, batch: Batch, denominator: jax.Array):
        """Nats, carry and gradient of nats / denominator, summed over micro-batches."""
        carry = state.carry
        if carry is not None:
            rows, length = batch.tokens_BT.shape
            fresh = initial_carry(self.model, state.params, rows, length)
            carry = restart_rows(carry, fresh, batch.continues_B)
        step_key = random_key(self.seed, "dropout", state.step)
        if self.axis_name:
            step_key = jax.random.fold_in(step_key, lax.axis_index(self.axis_name))

        def loss(params, batch, carry, key):
            nats, carry = causal_nats(
                self.model, params, batch, carry, deterministic=False, rngs={"dropout": key}
            )
            return nats / denominator, (nats, carry)

        def micro_step(gradient, micro):
            index, batch, carry = micro
            key = jax.random.fold_in(step_key, index)
            more, (nats, carry) = jax.grad(loss, has_aux=True)(state.params, batch, carry, key)
            return jax.tree.map(jnp.add, gradient, more), (nats, carry)

        if self.accumulation_steps == 1:
            gradient, (nats, carry) = jax.grad(loss, has_aux=True)(
                state.params, batch, carry, step_key
            )
            return nats, carry, gradient
        micros = jax.tree.map(self._split, (batch, carry))
        zeros = jax.tree.map(jnp.zeros_like, state.params)
        gradient, (nats, carry) = lax.scan(
            micro_step, zeros, (jnp.arange(self.accumulation_steps), *micros)
        )
        return nats.sum(), jax.tree.map(self._join, carry), gradient

    def _split(self, leaf: jax.Array) -> jax.Array:
        # Every k-th row, so that each device's rows stay on it.
        rows = leaf.shape[0] // self.accumulation_steps
        return leaf.reshape(rows, self.accumulation_steps, *leaf.shape[1:]).swapaxes(0, 1)

    def _join(self, leaf: jax.Array) -> jax.Array:
        return leaf.swapaxes(0, 1).reshape(-1, *leaf.shape[2:])

    def _total(self, tree: Any) -> Any:
        """The sum over the devices under pmap; under jit arrays are whole already."""
        return lax.psum(tree, self.axis_name) if self.axis_name else tree


def _finite_leaves(tree: Any) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)])


def leaf_names(params: Any) -> list[str]:
    """The paths of the parameters, in the order of `squared_norms_L`."""
    return [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
