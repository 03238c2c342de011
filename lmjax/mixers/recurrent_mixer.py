"""What mixers share that read one token after the other and have a loop for it."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.mixers import loop
from lmjax.mixers.contract import Carry, Mixer
from lmjax.nn.precision import wide_product


class RecurrentMixer(Mixer, kw_only=True):
    """`width` is that of y; x may be of another one. All parameters are drawn by `initializer`.

    `forget_bias` is added to the forget gate's bias.
    """

    initializer: Initializer
    forget_bias: float = 0.0

    def initial_carry(self, batch_size: int, max_length: int) -> Carry:
        """`h, c` of an LSTM, all zeros."""
        return (jnp.zeros((batch_size, self.width)),) * 2

    def loop(
        self,
        step: loop.Step,
        matrices: loop.Matrices,
        fixed: Any,
        carry: Carry | None,
        inputs_BT: Any,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
    ) -> tuple[jax.Array, Carry | None]:
        """`y_BTD, carry`: a step of `lmjax.mixers.loop` for each token, from zeros in a segment."""
        rows, length = jax.tree.leaves(inputs_BT)[0].shape[:2]
        state = self.initial_carry(rows, length) if carry is None else carry
        begins_BT = None
        if segment_ids_BT is not None:
            begins_BT = jnp.broadcast_to(positions_BT == 0, (rows, length))
        run = loop.sequence if self.form == "step" else loop.fast
        inputs = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), (inputs_BT, begins_BT))
        state, y_TBD = run(_Resetting(step), matrices, fixed, state, inputs)
        return y_TBD.swapaxes(0, 1), None if carry is None else state

    def drawn(self, name: str, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> jax.Array:
        """A parameter that is drawn by `initializer`."""
        return self.parameter(name, self.initializer, axes, shape)

    def gate_bias(self, gates: int, forget_gate: int | None, width: int) -> jax.Array:
        """`bias_G`: a bias for each of the gates, that of the forget gate moved."""

        def initialize(key, shape):
            bias_G = self.initializer(key, shape)
            if forget_gate is None:
                return bias_G
            begin = forget_gate * width
            return bias_G.at[begin : begin + width].add(self.forget_bias)

        return self.parameter("bias", initialize, ("gates",), (gates * width,))


class _Resetting:
    """A step before which rows whose token begins a segment are put back to zeros."""

    def __init__(self, step: loop.Step):
        self.step = step

    def __call__(self, multiply, fixed, state, now):
        inputs, begins_B = now
        if begins_B is not None:
            state = jax.tree.map(lambda leaf: jnp.where(begins_B[:, None], 0.0, leaf), state)
        return self.step(multiply, fixed, state, inputs)

    def __eq__(self, other):
        return isinstance(other, _Resetting) and self.step == other.step

    def __hash__(self):
        return hash(self.step)


def wide_sums(x_BTE: jax.Array, kernel_EG: jax.Array) -> jax.Array:
    """`sums_BTG = x_BTE kernel_EG`, multiplied in the type of x, in float32."""
    x_NE = x_BTE.reshape(-1, x_BTE.shape[-1])
    return wide_product(x_NE, kernel_EG.astype(x_BTE.dtype)).reshape(*x_BTE.shape[:-1], -1)
