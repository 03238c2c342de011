"""Layers of a mixer and a feed-forward network each, around a residual stream."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest

LAYERS = "layers"  # the logical axis along which the parameters of scanned layers are stacked

# What a layer keeps for its gradient; the rest is computed anew in the backward pass.
REMATERIALISATIONS = {
    "none": None,  # all is kept
    "block": jax.checkpoint_policies.nothing_saveable,  # the layer's input alone
    "products": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,  # and its dense layers'
}


class Block(nn.Module):
    """`x + mixer(norm(x))`, then `x + feed_forward(norm(x))`, with dropout on what is added."""

    norm: Callable[..., nn.Module]
    mixer: Callable[..., nn.Module]
    feed_forward: Callable[..., nn.Module]
    dropout: float

    @nn.compact
    def __call__(self, x_BTD, carry, positions_BT, segment_ids_BT, deterministic):
        """`x_BTD, carry` after the layer."""
        drop = nn.Dropout(self.dropout, deterministic=deterministic)
        y_BTD, carry = self.mixer(name="mixer")(
            self.norm(name="mixer_norm")(x_BTD), carry, positions_BT, segment_ids_BT, deterministic
        )
        x_BTD += drop(y_BTD)
        y_BTD = self.feed_forward(name="feed_forward")(self.norm(name="feed_forward_norm")(x_BTD))
        return x_BTD + drop(y_BTD), carry


class Period(nn.Module):
    """One layer for each mixer of a pattern."""

    make_blocks: tuple[Callable[..., Block], ...]

    @nn.compact
    def __call__(self, x_BTD, carries, positions_BT, segment_ids_BT, deterministic):
        """`x_BTD, carries`, of which there is one for each layer."""
        after = []
        for index, (make, carry) in enumerate(zip(self.make_blocks, carries, strict=True)):
            block = make(name=f"block_{index}")
            x_BTD, carry = block(x_BTD, carry, positions_BT, segment_ids_BT, deterministic)
            after.append(carry)
        return x_BTD, tuple(after)


class Stack(nn.Module):
    """`layers` blocks, whose mixers are those of the pattern, over and over.

    `remat` is one of REMATERIALISATIONS. With `scan`, the repetitions of the pattern are compiled
    once and run in a loop, and each of their parameters has a first axis `layers`; carries are the
    same. Raises UserError for an unknown rematerialisation, and for layers that are not a multiple
    of a pattern that is scanned.
    """

    layers: int
    mixers: tuple[Callable[..., nn.Module], ...]  # of the pattern
    norm: Callable[..., nn.Module]
    feed_forward: Callable[..., nn.Module]
    dropout: float
    remat: str
    scan: bool

    def __post_init__(self):
        super().__post_init__()
        if not self.mixers:
            raise UserError("model.pattern is empty; name at least one mixer")
        if self.remat not in REMATERIALISATIONS:
            hint = nearest(self.remat, REMATERIALISATIONS)
            raise UserError(f"unknown model.remat {self.remat!r}: {hint}")
        if self.scan and self.layers % len(self.mixers):
            raise UserError(
                f"model.layers {self.layers} is not a multiple of the {len(self.mixers)} mixers of "
                "model.pattern; change one of them or set model.scan_layers=False"
            )

    def setup(self):
        block = Block
        if policy := REMATERIALISATIONS[self.remat]:
            deterministic = 5  # the index of this argument
            # A loop by itself keeps XLA from merging the forward pass with its repetition.
            block = nn.remat(
                Block, policy=policy, prevent_cse=not self.scan, static_argnums=(deterministic,)
            )

        def maker(mixer):
            def make(**name):
                return block(self.norm, mixer, self.feed_forward, self.dropout, **name)

            return make

        makers = tuple(maker(mixer) for mixer in self.mixers)
        if self.scan:
            repeat = nn.scan(
                Period,
                variable_axes={"params": 0},
                split_rngs={"params": True, "dropout": True},
                in_axes=(0, nn.broadcast, nn.broadcast, nn.broadcast),
                length=self.layers // len(self.mixers),
                metadata_params={nn.PARTITION_NAME: LAYERS},
            )
            self.periods = repeat(makers)
        else:
            self.blocks = [makers[index % len(makers)]() for index in range(self.layers)]

    def initial_carries(self, batch_size: int, max_length: int) -> tuple[Any, ...]:
        """The carry of each layer's mixer, for at most `max_length` tokens."""
        mixers = [make(parent=None) for make in self.mixers]
        one = [mixer.initial_carry(batch_size, max_length) for mixer in mixers]
        return tuple(one[index % len(one)] for index in range(self.layers))

    @property
    def is_endless(self) -> bool:
        """Whether carries take in tokens without end."""
        return all(make(parent=None).is_endless for make in self.mixers)

    def __call__(
        self,
        x_BTD: jax.Array,
        carries: tuple[Any, ...],
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, tuple[Any, ...]]:
        """`x_BTD, carries`; carries are one for each layer, all None to remember nothing."""
        context = positions_BT, segment_ids_BT, deterministic
        if not self.scan:
            after = []
            for block, carry in zip(self.blocks, carries, strict=True):
                x_BTD, carry = block(x_BTD, carry, *context)
                after.append(carry)
            return x_BTD, tuple(after)
        size = len(self.mixers)
        repeated = [carries[begin::size] for begin in range(size)]
        stacked = tuple(jax.tree.map(lambda *leaves: jnp.stack(leaves), *each) for each in repeated)
        x_BTD, stacked = self.periods(x_BTD, stacked, *context)

        def of_layer(index):
            period, place = divmod(index, size)
            return jax.tree.map(lambda leaf: leaf[period], stacked[place])

        return x_BTD, tuple(of_layer(index) for index in range(self.layers))
