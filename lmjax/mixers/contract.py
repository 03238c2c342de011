"""What every mixer is: a causal map along time, with a memory of what it has read.

Attention, recurrences and state-space models are used alike through it.
"""

from typing import Any

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.forms import FORMS, Form, by_steps

Carry = Any  # a tree of arrays, each of which leads with B


class Mixer(nn.Module, kw_only=True):
    """Moves information from tokens to later ones of the same segment.

    A subclass defines `initial_carry` and `__call__`. Its fields are its options, beside those that
    a stack of layers gives to every mixer that has a field of that name: `width`, `heads`, `bias`,
    `dropout`, `norm_epsilon`, `context_length`, `position` (of scores, else `none`), `initializer`,
    `output_initializer`, for weights whose product is what is added to the residual stream, and
    `layer`, the number from 0 of a layer that is not scanned. Raises UserError for an unknown form
    and a dropout out of range.
    """

    width: int  # D, of x
    form: str = "parallel"  # of FORMS: the same function, step after step or as fast as it goes

    is_endless = True  # False: a carry takes in only the `max_length` tokens that it was made for

    def __post_init__(self):
        super().__post_init__()
        if self.form not in FORMS:
            raise UserError(f"unknown form {self.form!r} of a mixer: {nearest(self.form, FORMS)}")
        if not 0 <= (rate := getattr(self, "dropout", 0.0)) < 1:
            raise UserError(f"dropout of a mixer is {rate}; it is at least 0 and below 1")

    def run(self, step: Form, parallel: Form, state: Carry, *inputs: Any) -> tuple[Any, Carry]:
        """`y, state` by this mixer's form; see `lmjax.mixers.forms`. One token is always a step."""
        if self.form == "step" or jax.tree.leaves(inputs)[0].shape[1] == 1:
            return by_steps(step, state, *inputs)
        return parallel(state, *inputs)

    def parameter(
        self,
        name: str,
        initializer: Initializer,
        axes: tuple[str | None, ...],
        shape: tuple[int, ...],
    ) -> jax.Array:
        """A parameter in float32, with the logical names of its axes."""
        return self.param(name, nn.with_logical_partitioning(initializer, axes), shape)

    def initial_carry(self, batch_size: int, max_length: int) -> Carry:
        """The memory of `batch_size` rows before their first of at most `max_length` tokens.

        It follows from the fields alone, in float32 whatever the type of x.
        """
        raise NotImplementedError

    def __call__(
        self,
        x_BTD: jax.Array,
        carry: Carry,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, Carry]:
        """`y_BTD, carry` after T tokens, in the type of x.

        A carry of None starts anew and remembers nothing: the returned carry is None. Where
        `segment_ids_BT` changes from one token to the next, the memory is reset; None continues the
        segment of the carry. `positions_BT` counts tokens since the segment began, and may lead
        with 1 in place of B. Unless `deterministic`, dropout draws from the rng stream `dropout`.
        """
        raise NotImplementedError
