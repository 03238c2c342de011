"""Layers of a mixer and a feed-forward network each, around a residual stream."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.mixers.registry import told_its_layer
from lmjax.nn.dropout import Dropout
from lmjax.nn.extras import SOWN

NORM_ORDERS = ("pre", "post", "both")
LAYERS = "layers"  # the logical axis along which the parameters of scanned layers are stacked

# What a layer keeps for its gradient; the rest is computed anew in the backward pass.
REMATERIALISATIONS = {
    "none": None,  # all is kept
    "block": jax.checkpoint_policies.nothing_saveable,  # the layer's input alone
    "products": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,  # and its dense layers'
}


class Block(nn.Module):
    """A mixer, then a feed-forward network, each with a norm, dropout and the residual stream.

    Without a feed-forward network the layer is its mixer alone. `norm_order` is `pre`:
    x + mixer(norm(x)), `post`: norm(x + mixer(x)) (Xiong et al. 2020), or `both`:
    x + norm_after(mixer(norm(x))) (Gemma 2: Gemma Team 2024, section 2).

    With `make_source_attention`, what it gives is added between the two; then the carry is that of
    the mixer and what `remember` gave.
    """

    norm: Callable[..., nn.Module]
    mixer: Callable[..., nn.Module]
    feed_forward: Callable[..., nn.Module] | None
    dropout: float
    norm_order: str = "pre"
    make_source_attention: Callable[..., nn.Module] | None = None

    def setup(self):
        if self.make_source_attention is not None:
            self.source_attention = self.make_source_attention()

    def remember(self, encoded_BSD: jax.Array, visible_BS: jax.Array) -> Any:
        """What is kept of a source that was encoded."""
        return self.source_attention.remember(encoded_BSD, visible_BS)

    @nn.compact
    def __call__(
        self, x_BTD, carry, positions_BT, segment_ids_BT, deterministic, position_bias=None
    ):
        """`x_BTD, carry` after the layer."""
        drop = Dropout(self.dropout, deterministic=deterministic)

        def add(x_BTD, name, layer):
            norm = self.norm(name=f"{name}_norm")
            if self.norm_order == "post":
                return norm(x_BTD + drop(layer(x_BTD)))
            y_BTD = layer(norm(x_BTD))
            if self.norm_order == "both":
                y_BTD = self.norm(name=f"{name}_norm_after")(y_BTD)
            return x_BTD + drop(y_BTD)

        memory = None
        if self.make_source_attention is not None:
            carry, memory = carry
        mixer, after = self.mixer(name="mixer"), None
        context = positions_BT, segment_ids_BT, deterministic
        if position_bias is not None:
            context = (*context, position_bias)

        def mix(x_BTD):
            nonlocal after
            y_BTD, after = mixer(x_BTD, carry, *context)
            return y_BTD

        x_BTD = add(x_BTD, "mixer", mix)
        if memory is not None:
            x_BTD = add(
                x_BTD,
                "source_attention",
                lambda x_BTD: self.source_attention(x_BTD, memory, deterministic),
            )
            after = after, memory
        if self.feed_forward is not None:
            feed = partial(self.feed_forward(name="feed_forward"), deterministic=deterministic)
            x_BTD = add(x_BTD, "feed_forward", feed)
        return x_BTD, after


class Period(nn.Module):
    """One layer for each mixer of a pattern."""

    make_blocks: tuple[Callable[..., Block], ...]

    @nn.compact
    def __call__(self, x_BTD, carries, positions_BT, segment_ids_BT, deterministic, position_bias):
        """`x_BTD, carries`, of which there is one for each layer."""
        after = []
        for index, (make, carry) in enumerate(zip(self.make_blocks, carries, strict=True)):
            block = make(name=f"block_{index}")
            context = positions_BT, segment_ids_BT, deterministic, position_bias
            x_BTD, carry = block(x_BTD, carry, *context)
            after.append(carry)
        return x_BTD, tuple(after)


class Stack(nn.Module):
    """`layers` blocks, whose mixers are those of the pattern, over and over.

    `remat` is one of REMATERIALISATIONS. With `scan`, the repetitions of the pattern are compiled
    once and run in a loop, and each of their parameters has a first axis `layers`; carries are the
    same. Without, a mixer with a field `layer` is told the number of its layer, from 0.
    `norm_order` and `make_source_attention` are those of a block; attention to a source is not
    scanned. `make_position_bias` makes what all layers' scores have in common. Raises UserError for
    an unknown rematerialisation or order, and for layers that are not a multiple of a pattern that
    is scanned.
    """

    layers: int
    mixers: tuple[Callable[..., nn.Module], ...]  # of the pattern
    norm: Callable[..., nn.Module]
    feed_forwards: tuple[Callable[..., nn.Module] | None, ...]  # one for each of them; None: none
    dropout: float
    remat: str
    scan: bool
    norm_order: str = "pre"
    make_source_attention: Callable[..., nn.Module] | None = None
    make_position_bias: Callable[..., nn.Module] | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.remat not in REMATERIALISATIONS:
            hint = nearest(self.remat, REMATERIALISATIONS)
            raise UserError(f"unknown model.remat {self.remat!r}: {hint}")
        if self.norm_order not in NORM_ORDERS:
            hint = nearest(self.norm_order, NORM_ORDERS)
            raise UserError(f"unknown model.norm_order {self.norm_order!r}: {hint}")
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

        def maker(mixer, feed_forward):
            def make(**name):
                parts = self.norm, mixer, feed_forward, self.dropout
                return block(*parts, self.norm_order, self.make_source_attention, **name)

            return make

        if self.make_position_bias is not None:
            self.position_bias = self.make_position_bias()
        size = len(self.mixers)
        if self.scan:
            makers = tuple(map(maker, self.mixers, self.feed_forwards))
            repeat = nn.scan(
                Period,
                variable_axes=dict.fromkeys(("params", *SOWN), 0),
                split_rngs={"params": True, "dropout": True},
                in_axes=(0, *(nn.broadcast,) * 4),
                length=self.layers // size,
                metadata_params={nn.PARTITION_NAME: LAYERS},
            )
            self.periods = repeat(makers)
        else:
            self.blocks = [
                maker(
                    told_its_layer(self.mixers[layer % size], layer),
                    self.feed_forwards[layer % size],
                )()
                for layer in range(self.layers)
            ]

    def initial_carries(self, batch_size: int, max_length: int) -> tuple[Any, ...]:
        """The carry of each layer's mixer, for at most `max_length` tokens."""
        mixers = [make(parent=None) for make in self.mixers]
        one = [mixer.initial_carry(batch_size, max_length) for mixer in mixers]
        return tuple(one[index % len(one)] for index in range(self.layers))

    def remember(self, encoded_BSD: jax.Array, visible_BS: jax.Array) -> tuple[Any, ...]:
        """What each layer's attention to a source keeps of it."""
        return tuple(block.remember(encoded_BSD, visible_BS) for block in self.blocks)

    @property
    def can_unroll(self) -> bool:
        """Whether there is a loop, and layers without it would be the same: told no number."""
        return self.scan and all(told_its_layer(make, 0) is make for make in self.mixers)

    def unrolled(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters, with those of a loop's layers as without a loop."""
        size, params = len(self.mixers), dict(params)
        periods = params.pop("periods")
        for layer in range(self.layers):
            period, place = divmod(layer, size)
            params[f"blocks_{layer}"] = _part(periods[f"block_{place}"], period)
        return params

    @property
    def active_shares(self) -> dict[str, float]:
        """See `LanguageModel.active_shares`."""
        shares = {}
        for make in filter(None, self.feed_forwards):
            shares |= getattr(make(parent=None), "active_shares", {})
        return shares

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
        bias = None if self.make_position_bias is None else self.position_bias()
        context = positions_BT, segment_ids_BT, deterministic, bias
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


@jax.jit
def _part(tree: Any, index: jax.Array) -> Any:
    """The tree of one entry of its leaves' first axis."""
    return jax.tree.map(lambda leaf: leaf[index], tree)
