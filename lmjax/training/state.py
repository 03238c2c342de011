"""Everything that a training step reads and writes."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from lmjax.models.contract import Carry, LanguageModel, initial_carry


@flax.struct.dataclass
class Hyperparameters:
    """Numbers of schedule, optimizer and model; as arrays, they leave a compiled step the same."""

    learning_rate: jax.Array  # float32, at the peak
    final_learning_rate: jax.Array  # float32
    weight_decay: jax.Array  # float32
    dropout: jax.Array  # float32; read where the step says so, else it is the model's
    warmup_steps: jax.Array  # int32
    total_steps: jax.Array  # int32


@flax.struct.dataclass
class Averaging:
    """What is trained where the state's parameters are its mean over the steps."""

    iterate: Any  # parameters; without a mean yet, the state's own
    count: jax.Array  # int32, of iterates in the mean; 0: it has not begun


@flax.struct.dataclass
class TrainState:
    """The state between two steps; with the data position it is the whole run."""

    step: jax.Array
    seed: jax.Array  # uint32
    hyperparameters: Hyperparameters
    params: Any  # those that are evaluated
    optimizer_state: Any
    carry: Carry  # of the rows of the batch; None where no state is carried over
    learning_rate_scale: jax.Array  # what plateau decay has multiplied the learning rate by
    averaging: Averaging | None = None  # None: the parameters are trained themselves

    @property
    def trained(self) -> Any:
        """The parameters that a step changes."""
        return self.params if self.averaging is None else self.averaging.iterate

    def beginning_with(self, params: Any) -> "TrainState":
        """The state before the first step, with other parameters."""
        if self.averaging is None:
            return self.replace(params=params)
        return self.replace(params=params, averaging=self.averaging.replace(iterate=params))


@flax.struct.dataclass
class CountedState:
    """The state of a model that is counted: its parameters, and 0 as its step."""

    step: jax.Array
    params: Any


def initial_params(model: LanguageModel, seed: jax.Array, length: int) -> Any:
    """The parameters of (seed, "parameters"), boxed with their logical axis names."""
    return model.init(random_key(seed, "parameters"), jnp.zeros((1, length), jnp.int32))


def initial_state(
    model: LanguageModel,
    optimizer: optax.GradientTransformation,
    seed: jax.Array,
    hyperparameters: Hyperparameters,
    *,
    batch_size: int,
    length: int,
    carried: bool,
    averaging: str = "none",
) -> TrainState:
    """The state before the first step; parameters come boxed, as from `initial_params`.

    `averaging` is that of `config.training`.
    """
    params = initial_params(model, seed, length)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=seed,
        hyperparameters=hyperparameters,
        params=params,
        optimizer_state=optimizer.init(params),
        carry=initial_carry(model, params, batch_size, length) if carried else None,
        learning_rate_scale=jnp.ones((), jnp.float32),
        averaging=None
        if averaging == "none"
        else Averaging(params, jnp.int32(averaging == "from_start")),
    )


PURPOSES = ("parameters", "dropout")


def random_key(seed: jax.Array | int, purpose: str, step: jax.Array | int = 0) -> jax.Array:
    """The random key of (seed, purpose, step): nothing is split along the way."""
    key = jax.random.fold_in(jax.random.key(seed), PURPOSES.index(purpose))
    return jax.random.fold_in(key, step)
