"""A recurrent network that reads one cell of a memory and changes all of it, softly.

H memories of N cells of M numbers each, of which the first is where the network is. Each token
waits for the one before it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.mixers.loop import fast
from lmjax.nn.dense import Dense

Affine = Callable[[str, jax.Array], jax.Array]  # by the matrix and the bias of that name


@flax.struct.dataclass
class MemoryCarry:
    """The hidden state, and what the memories hold."""

    h_BD: jax.Array
    memory_BHNM: jax.Array


def step(carry, input_BD, begins_B, *, affine, act):
    """`h_BD, carry` after one token; a row whose token begins a segment starts from zeros.

    `h = tanh(W x + b + U [h; read])`, where `read` are the first cells; then `memory = act(memory,
    h)`.
    """
    h_BD = jnp.where(begins_B[:, None], 0.0, carry.h_BD)
    memory_BHNM = jnp.where(begins_B[:, None, None, None], 0.0, carry.memory_BHNM)
    read_BE = memory_BHNM[:, :, 0].reshape(len(h_BD), -1)
    h_BD = jnp.tanh(input_BD + affine("recurrent", jnp.concatenate([h_BD, read_BE], axis=-1)))
    return h_BD, MemoryCarry(h_BD, act(memory_BHNM, h_BD, affine))


def parallel(carry, input_BTD, begins_BT, *, matrices, biases, act):
    """`h_BTD, carry`: `step` for each of T tokens, with the faster gradient of `mixers.loop`."""

    def one(multiply, biases, carry, now):
        h_BD, carry = step(carry, *now, affine=partial(_affine, multiply, biases), act=act)
        return carry, h_BD

    carry, h_TBD = fast(one, matrices, biases, carry, (input_BTD.swapaxes(0, 1), begins_BT.T))
    return h_TBD.swapaxes(0, 1), carry


class MemoryRNN(Mixer):
    """A subclass says how the memory is changed; y is the hidden state.

    States are float32 whatever the type of x. Raises UserError for sizes below 1.
    """

    initializer: Initializer
    memories: int = 1
    cells: int = 40  # of a memory
    cell_width: int = 8

    kind: ClassVar[str]  # in errors

    def __post_init__(self):
        super().__post_init__()
        for field in ("memories", "cells", "cell_width"):
            if getattr(self, field) < 1:
                raise UserError(
                    f"{field} of {self.kind} is {getattr(self, field)}; it is at least 1"
                )

    def control_sizes(self) -> Mapping[str, tuple[int, int]]:
        """The sizes of the matrices by which `act` multiplies."""
        raise NotImplementedError

    @staticmethod
    def act(memory_BHNM: jax.Array, h_BD: jax.Array, affine: Affine) -> jax.Array:
        """The memory after a token."""
        raise NotImplementedError

    def initial_carry(self, batch_size: int, max_length: int) -> MemoryCarry:
        shape = batch_size, self.memories, self.cells, self.cell_width
        return MemoryCarry(jnp.zeros((batch_size, self.width)), jnp.zeros(shape))

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: MemoryCarry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, MemoryCarry | None]:
        """`y_BTD, carry`; all is forgotten at position 0 if there are segments."""
        rows, length, width = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        project = Dense(
            self.width, ("embed", "hidden"), True, self.initializer, wide_output=True, name="input"
        )
        read = self.memories * self.cell_width
        matrices = {"recurrent": self._kernel("recurrent", (self.width + read, self.width))}
        biases = {}
        zeros = nn.with_logical_partitioning(nn.initializers.zeros, (None,))
        for name, shape in self.control_sizes().items():
            matrices[name] = self._kernel(name, shape)
            biases[name] = self.param(f"{name}_bias", zeros, shape[1:])[None]
        one = partial(
            step,
            affine=partial(_affine, lambda name, x_BE: x_BE @ matrices[name], biases),
            act=self.act,
        )
        many = partial(parallel, matrices=matrices, biases=biases, act=self.act)
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        y_BTD, after = self.run(one, many, before, project(x_BTD), begins_BT)
        return y_BTD.astype(x_BTD.dtype), None if carry is None else after

    def _kernel(self, name: str, shape: tuple[int, int]) -> jax.Array:
        initializer = nn.with_logical_partitioning(self.initializer, ("embed", "hidden"))
        return self.param(f"{name}_kernel", initializer, shape)


def _affine(multiply, biases, name, x_BE) -> jax.Array:
    y_BF = multiply(name, x_BE)
    return y_BF + biases[name] if name in biases else y_BF
