"""Hyena: long convolutions, whose filters are learned functions of distance, and gates in turn
(Poli et al. 2023).

N is the order: how many convolutions. S slots hold the inputs of each; see `long_convolution`.
"""

import math
from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.long_convolution import read_many, read_one
from lmjax.nn.broadcast import at_each_token
from lmjax.nn.dense import Dense
from lmjax.nn.initializers import symmetric_uniform
from lmjax.nn.precision import wide
from lmjax.nn.short_convolution import ShortConvolution, initial_past

# Windows fall to TARGET of their height after these shares of the context, from the last channel to
# the first; SHIFT remains of them at all distances (section 3.3, numbers of the authors' code).
FASTEST, SLOWEST, TARGET, SHIFT = 0.3, 1.5, 0.01, 0.05


@flax.struct.dataclass
class HyenaMemory:
    """S slots a row, filled in order, with the inputs of each long convolution."""

    u_NBSD: tuple[jax.Array, ...]
    length_B: jax.Array  # int32, slots filled


@flax.struct.dataclass
class HyenaCarry:
    """What the long convolutions remember, and the last W - 1 inputs of the short one."""

    memory: HyenaMemory
    past_BWE: jax.Array


def step(memory, v_BD, gates_NBD, position_B, *, filters_NSD, skips_ND):
    """`y_BD, memory` after one token: `z = v`, `z = x_n (h_n * z)` for each n, `y = z`.

    (Definition 3.1; `skip` adds to h_n at distance 0.) A token at position 0 sees none before.
    """
    index_B, u_NBSD, z_BD = memory.length_B, [], v_BD
    for u_BSD, gate_BD, filter_SD, skip_D in zip(
        memory.u_NBSD, gates_NBD, filters_NSD, skips_ND, strict=True
    ):
        u_BSD = u_BSD.at[jnp.arange(len(u_BSD)), index_B].set(z_BD, mode="drop")
        u_NBSD.append(u_BSD)
        y_BD = read_one(u_BSD, filter_SD, index_B, index_B - position_B) + skip_D[None] * z_BD
        z_BD = gate_BD * y_BD
    return z_BD, HyenaMemory(tuple(u_NBSD), index_B + 1)


def parallel(memory, v_BTD, gates_NBTD, positions_BT, *, filters_NSD, skips_ND, whole):
    """`y_BTD, memory`: `step` for each of T tokens; `whole`: they are of one segment."""
    rows, length, _ = v_BTD.shape
    index_BT = memory.length_B[:, None] + jnp.arange(length)[None]
    start_BT, u_NBSD, z_BTD = index_BT - positions_BT, [], v_BTD
    for u_BSD, gate_BTD, filter_SD, skip_D in zip(
        memory.u_NBSD, gates_NBTD, filters_NSD, skips_ND, strict=True
    ):
        u_BSD = u_BSD.at[jnp.arange(rows)[:, None], index_BT].set(z_BTD, mode="drop")
        u_NBSD.append(u_BSD)
        y_BTD = read_many(u_BSD, filter_SD, index_BT, start_BT, whole)
        z_BTD = gate_BTD * (y_BTD + at_each_token(skip_D, z_BTD) * z_BTD)
    return z_BTD, HyenaMemory(tuple(u_NBSD), memory.length_B + length)


class Hyena(Mixer):
    """Projections, a short convolution of each, long convolutions and gates in turn (Figure 1).

    A long convolution needs all past inputs, so the carry has a slot for each of `max_length`
    tokens. Rows that hold several segments are read in T x T steps, others in T log T. Raises
    UserError for sizes below 1.
    """

    bias: bool
    initializer: Initializer
    output_initializer: Initializer
    order: int = 2  # long convolutions, and gates
    convolution_width: int = 3
    filter_width: int = 64  # of the network that makes the filters
    filter_layers: int = 3  # hidden ones
    bands: int = 16  # sines and cosines of the distance that it reads
    frequency: float = 14.0  # of its sines at the start of training
    context_length: int = 256  # tokens over which windows and bands are spread; the model's

    is_endless = False

    def __post_init__(self):
        super().__post_init__()
        sizes = "order", "convolution_width", "filter_width", "filter_layers", "bands"
        for field in (*sizes, "context_length"):
            if getattr(self, field) < 1:
                raise UserError(f"{field} of hyena is {getattr(self, field)}; it is at least 1")

    def initial_carry(self, batch_size: int, max_length: int) -> HyenaCarry:
        u_BSD = jnp.zeros((batch_size, max_length, self.width))
        inner = (self.order + 1) * self.width
        return HyenaCarry(
            HyenaMemory((u_BSD,) * self.order, jnp.zeros(batch_size, jnp.int32)),
            initial_past(batch_size, self.convolution_width, inner),
        )

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: HyenaCarry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, HyenaCarry | None]:
        """`y_BTD, carry`; y is NaN for a token that finds no free slot in the carry."""
        rows, length, width = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        slots, inner = before.memory.u_NBSD[0].shape[1], (self.order + 1) * width
        project = Dense(inner, ("embed", "mlp"), self.bias, self.initializer, name="input")
        convolve = ShortConvolution(self.convolution_width, name="convolution")
        mixed_BTE, past_BWE = convolve(project(x_BTD), before.past_BWE, positions_BT)
        mixed_BTE = mixed_BTE.astype(wide(x_BTD.dtype))
        v_BTD, *gates_NBTD = jnp.split(mixed_BTE, self.order + 1, axis=-1)
        positions_BT = jnp.broadcast_to(positions_BT, (rows, length))

        fixed = dict(filters_NSD=self._filters(slots), skips_ND=self._skips())
        many = partial(parallel, **fixed, whole=segment_ids_BT is None)
        inputs = v_BTD, gates_NBTD, positions_BT
        y_BTD, memory = self.run(partial(step, **fixed), many, before.memory, *inputs)
        output = Dense(width, ("mlp", "embed"), self.bias, self.output_initializer, name="output")
        y_BTD = output(y_BTD.astype(x_BTD.dtype))
        index_BT = before.memory.length_B[:, None] + jnp.arange(length)[None]
        y_BTD = jnp.where((index_BT < slots)[..., None], y_BTD, jnp.nan)
        return y_BTD, None if carry is None else HyenaCarry(memory, past_BWE)

    def _skips(self):
        normal = nn.with_logical_partitioning(nn.initializers.normal(1.0), (None, "embed"))
        return self.param("skip", normal, (self.order, self.width))

    def _filters(self, slots):
        """`filters_NSD`: a network of the distance, under a window that falls (equation 7)."""
        share_S1, features_SF = distance_features(slots, self.context_length, self.bands)
        hidden_SF = jnp.asarray(features_SF)[None]
        for layer in range(self.filter_layers):
            uniform = symmetric_uniform(hidden_SF.shape[-1] ** -0.5)
            dense = Dense(
                self.filter_width, (None, "hidden"), True, uniform, name=f"filter_{layer}"
            )
            hidden_SF = jnp.sin(self._frequencies(layer) * dense(hidden_SF))
        uniform = symmetric_uniform(self.filter_width**-0.5)
        axes = "hidden", "mlp"
        heights = Dense(self.order * self.width, axes, False, uniform, name="filter")(hidden_SF)
        log_target = math.log(TARGET)
        rate_D = np.linspace(log_target / SLOWEST, log_target / FASTEST, self.width)
        window_SD = jnp.exp(share_S1 * rate_D[None]) + SHIFT
        return heights.reshape(slots, self.order, self.width).swapaxes(0, 1) * window_SD[None]

    def _frequencies(self, layer):
        constant = nn.initializers.constant(self.frequency)
        constant = nn.with_logical_partitioning(constant, ("hidden",))
        return self.param(f"frequency_{layer}", constant, (self.filter_width,))[None, None]


def distance_features(slots: int, context_length: int, bands: int):
    """`share_S1, features_SF` of distances 0 to S - 1: shares of the context; cosines and sines.

    (Section 3.3, FFN of a positional encoding, as in the authors' code.)
    """
    distance_S1 = np.arange(slots)[:, None]
    share_S1 = distance_S1 / max(context_length - 1, 1)
    frequency_F = np.linspace(1e-4, max(bands - 1, 1e-4), bands)[None]
    angle_SF = 2 * math.pi * distance_S1 / context_length * frequency_F
    features_SF = np.concatenate([share_S1, np.cos(angle_SF), -np.sin(angle_SF)], axis=1)
    return share_S1.astype(np.float32), features_SF.astype(np.float32)
