"""One step of training: a pure function of the state and the batch."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from lmjax.data.batch import Batch
from lmjax.errors import UserError, nearest
from lmjax.models.contract import LanguageModel, initial_carry, restart_rows
from lmjax.nn.dropout import dropout_rate
from lmjax.nn.leaves import leaf_name
from lmjax.objectives.contract import Objective, Outcome, outcome_of
from lmjax.training.averaging import averaged
from lmjax.training.schedules import Schedule
from lmjax.training.state import TrainState, random_key

# What the nats of a batch are divided by: one of the objective's counts.
REDUCTIONS = {"token_mean": "tokens", "sequence_mean": "sequences"}


@dataclass(frozen=True)
class TrainStep:
    """What a step needs beside its arguments; `axis_name` is that of the devices under pmap."""

    __name__ = "train_step"  # of the compiled program

    model: LanguageModel
    objective: Objective
    optimizer: optax.GradientTransformation
    schedule: Schedule
    loss_reduction: str = "token_mean"
    accumulation_steps: int = 1
    skip_nonfinite: bool = False  # a step that is not finite changes nothing but its number
    frozen_L: tuple[bool, ...] = ()  # of each leaf, whether it has no gradient; empty: none
    axis_name: str | None = None
    has_own_dropout: bool = False  # the rate is the state's, whatever the model's
    # Tokens of a row that the learning rate is of; it goes with those of the batch. 0: it doesn't.
    full_length: int = 0

    def __post_init__(self):
        if self.loss_reduction not in REDUCTIONS:
            hint = nearest(self.loss_reduction, REDUCTIONS)
            raise UserError(f"unknown training.loss_reduction {self.loss_reduction!r}: {hint}")

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Any]]:
        """The next state, and what the step was like.

        Of the step: `nats`, `weight` (of the targets), `right` (of them, the model's first choice;
        None: not told), `extras` and `measures` (by name, means over the targets),
        `learning_rate`, `gradient_norm`. Of each leaf of the parameters, in the order of
        `leaf_names`: `squared_norms_L` of the gradient, and whether it was finite before the step
        and after it: `before_finite_L`, `after_finite_L`.
        """
        gradient, outcome = self._gradient(state, batch)
        gradient, denominator = self._total(gradient), self._denominator(outcome)
        squared_norms_L = jnp.stack(
            [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradient)]
        )
        learning_rate = self.schedule(state.step, state.hyperparameters)
        learning_rate *= state.learning_rate_scale
        if self.full_length:
            learning_rate *= batch.tokens_BT.shape[1] / self.full_length
        direction, optimizer_state = optax.with_extra_args_support(self.optimizer).update(
            gradient,
            state.optimizer_state,
            state.trained,
            weight_decay=state.hyperparameters.weight_decay,
        )
        params = jax.tree.map(lambda p, d: p - learning_rate * d, state.trained, direction)
        counts = self._total(outcome.counts)
        metrics = {
            "nats": self._total(outcome.nats),
            "weight": counts["tokens"],
            "right": counts.get("right"),
            **{
                kind: jax.tree.map(lambda mean: mean / denominator, self._total(means))
                for kind, means in (("extras", outcome.extras), ("measures", outcome.measures))
            },
            "learning_rate": learning_rate,
            "gradient_norm": jnp.sqrt(squared_norms_L.sum()),
            "squared_norms_L": squared_norms_L,
            "before_finite_L": _finite_leaves(state.trained),
            "after_finite_L": _finite_leaves(params),
        }
        after = replace(
            averaged(state, params),
            step=state.step + 1,
            optimizer_state=optimizer_state,
            carry=outcome.carry,
        )
        if self.skip_nonfinite:
            unchanged = replace(state, step=state.step + 1)
            finite = jnp.isfinite(metrics["nats"]) & jnp.isfinite(metrics["gradient_norm"])
            finite &= metrics["before_finite_L"].all() & metrics["after_finite_L"].all()
            after = jax.tree.map(lambda a, b: jnp.where(finite, a, b), after, unchanged)
        return after, metrics

    def _gradient(self, state: TrainState, batch: Batch) -> tuple[Any, Outcome]:
        """This device's share in the gradient, and its outcome, summed over the micro-batches.

        An extra or a measure is multiplied by the count that the nats are divided by, so that in
        the end each micro-batch and each device has the share in it that its targets have in the
        nats.
        """
        step_key = random_key(state.seed, "dropout", state.step)
        if self.axis_name:
            step_key = jax.random.fold_in(step_key, lax.axis_index(self.axis_name))

        rate = state.hyperparameters.dropout if self.has_own_dropout else None

        def loss(params, batch, carry, key):
            params = self._held(params)
            if carry is not None:  # within the loss: an initial carry may be learned
                fresh = initial_carry(self.model, params, *batch.tokens_BT.shape)
                carry = restart_rows(carry, fresh, batch.continues_B)
            with dropout_rate(rate):
                drawn = dict(deterministic=False, rngs={"dropout": key})
                outcome = outcome_of(self.objective, self.model, params, batch, carry, **drawn)
            count = outcome.counts[REDUCTIONS[self.loss_reduction]]
            extras, measures = (
                {name: mean * count for name, mean in means.items()}
                for means in (outcome.extras, outcome.measures)
            )
            outcome = replace(outcome, extras=extras, measures=measures)
            return sum(extras.values(), outcome.nats), outcome

        def micro_step(gradient, micro):
            index, batch, carry = micro
            key = jax.random.fold_in(step_key, index)
            more, outcome = jax.grad(loss, has_aux=True)(state.trained, batch, carry, key)
            return jax.tree.map(jnp.add, gradient, more), outcome

        if self.accumulation_steps == 1:
            whole = partial(loss, batch=batch, carry=state.carry, key=step_key)
            _, pullback, outcome = jax.vjp(whole, state.trained, has_aux=True)
            # Scaled here, the gradient needs no pass over all parameters to be divided.
            return pullback(1 / self._denominator(outcome))[0], outcome
        micros = jax.tree.map(self._split, (batch, state.carry))
        zeros = jax.tree.map(jnp.zeros_like, state.trained)
        gradient, outcomes = lax.scan(
            micro_step, zeros, (jnp.arange(self.accumulation_steps), *micros)
        )
        summed = jax.tree.map(lambda leaf: leaf.sum(axis=0), replace(outcomes, carry=None))
        scale = 1 / self._denominator(summed)
        gradient = jax.tree.map(lambda leaf: leaf * scale, gradient)
        return gradient, replace(summed, carry=jax.tree.map(self._join, outcomes.carry))

    def _held(self, params: Any) -> Any:
        """The parameters, through those of which that are frozen no gradient flows."""
        if not any(self.frozen_L):
            return params
        leaves, structure = jax.tree.flatten(params)
        held = zip(leaves, self.frozen_L, strict=True)
        return structure.unflatten(
            [lax.stop_gradient(leaf) if frozen else leaf for leaf, frozen in held]
        )

    def _denominator(self, outcome: Outcome) -> jax.Array:
        """What the nats are divided by: a count of the whole batch."""
        return jnp.maximum(self._total(outcome.counts[REDUCTIONS[self.loss_reduction]]), 1.0)

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
    # Infinities and NaN stay in a sum. On CPU that is one pass over a leaf, of a fifth of the time
    # of `isfinite(leaf).all()`. Numbers so large that their sum overflows count as not finite.
    return jnp.isfinite(jnp.stack([jnp.sum(leaf) for leaf in jax.tree.leaves(tree)]))


def leaf_names(params: Any) -> list[str]:
    """The paths of the parameters, in the order of `squared_norms_L`."""
    return [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
