"""Linear attention: a kernel of queries and keys in place of softmax (Katharopoulos et al. 2020).

K is the width of keys and queries, F that of their features, V that of values. With the features of
the second-order Taylor series of exp it is the linear attention of Based (Arora et al. 2024).
"""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers import decayed_attention
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import in_chunks, segment_begins
from lmjax.nn.dense import Dense
from lmjax.nn.precision import wide

EPSILON = 1e-6  # added to the normaliser, as in the authors' code


def taylor(x: jax.Array) -> jax.Array:
    """Features whose product is `1 + s + s^2 / 2` for `s = q k / sqrt(K)` (Arora et al. 2024, 4.1).

    Of K numbers they are 1 + K + K^2.
    """
    x = x * x.shape[-1] ** -0.25
    squares = x[..., :, None] * x[..., None, :] / math.sqrt(2)
    return jnp.concatenate([jnp.ones_like(x[..., :1]), x, squares.reshape(*x.shape[:-1], -1)], -1)


def elu(x: jax.Array) -> jax.Array:
    """`elu(x) + 1` (Katharopoulos et al. 2020, equation 7)."""
    return nn.elu(x) + 1


def identity(x: jax.Array) -> jax.Array:
    """x itself."""
    return x


# name -> features, and whether their products are never negative, so that they can be normalised
FEATURE_MAPS = {
    "elu": (elu, True),
    "identity": (identity, False),
    "relu": (nn.relu, True),
    "taylor": (taylor, True),
}


def step(s_BHFV, q_BHK, k_BHK, v_BHV, begins_B, *, features, normalized):
    """`y_BHV, s_BHFV` after one token: `S = S + f(k) v^T`, `y = S^T f(q)` (equations 18 to 20).

    If `normalized`, the last value is one for each token, so that y is divided by what the weights
    of all values are together.
    """
    never_BH1 = jnp.zeros((*v_BHV.shape[:2], 1))
    inputs = features(q_BHK), features(k_BHK), v_BHV, never_BH1, begins_B
    y_BHV, s_BHFV = decayed_attention.step(s_BHFV, *inputs)
    return _divide(y_BHV) if normalized else y_BHV, s_BHFV


def parallel(s_BHFV, q_BTHK, k_BTHK, v_BTHV, begins_BT, *, features, normalized):
    """`y_BTHV, s_BHFV`: `step` for each of T tokens."""
    never_BTH1 = jnp.zeros((*v_BTHV.shape[:3], 1))
    inputs = features(q_BTHK), features(k_BTHK), v_BTHV, never_BTH1, begins_BT
    y_BTHV, s_BHFV = decayed_attention.parallel(s_BHFV, *inputs)
    return _divide(y_BTHV) if normalized else y_BTHV, s_BHFV


def _divide(y: jax.Array) -> jax.Array:
    return y[..., :-1] / (y[..., -1:] + EPSILON)


class LinearAttention(Mixer):
    """Attention whose weights are products of features, so that its memory is of constant size.

    The state is float32. Raises UserError for an unknown feature map, one that can't be normalised,
    sizes below 1 and a width that the heads don't divide.
    """

    heads: int
    bias: bool
    initializer: Initializer
    output_initializer: Initializer
    feature_map: str = "elu"  # of FEATURE_MAPS
    normalized: bool = True  # weights of a token's past sum to one
    key_width: int = 0  # K, of each head; 0: width / heads. Based: 16
    chunk: int = 64  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        if self.feature_map not in FEATURE_MAPS:
            hint = nearest(self.feature_map, FEATURE_MAPS)
            raise UserError(f"unknown feature_map {self.feature_map!r}: {hint}")
        if self.normalized and not FEATURE_MAPS[self.feature_map][1]:
            raise UserError(
                f"weights by the feature map {self.feature_map!r} may sum to zero; set "
                "normalized=False"
            )
        if self.key_width < 0 or self.chunk < 1:
            raise UserError(
                f"key_width {self.key_width} and chunk {self.chunk} of linear_attention: give at "
                "least 0 (for width / heads) and 1"
            )
        width_of_values(self.width, self.heads)

    @property
    def _key_width(self) -> int:
        return self.key_width or width_of_values(self.width, self.heads)

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        features, _ = FEATURE_MAPS[self.feature_map]
        keys = jax.eval_shape(features, jax.ShapeDtypeStruct((self._key_width,), jnp.float32)).size
        values = width_of_values(self.width, self.heads) + self.normalized
        return jnp.zeros((batch_size, self.heads, keys, values))

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: jax.Array | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        rows, length, width = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        keys = self.heads * self._key_width
        project = Dense(
            2 * keys + width, ("embed", "heads"), self.bias, self.initializer, name="qkv"
        )
        qkv_BTE = project(x_BTD).astype(wide(x_BTD.dtype))
        q_BTHK, k_BTHK, v_BTHV = (
            leaf.reshape(rows, length, self.heads, -1)
            for leaf in jnp.split(qkv_BTE, [keys, 2 * keys], axis=-1)
        )
        if self.normalized:
            v_BTHV = jnp.concatenate([v_BTHV, jnp.ones_like(v_BTHV[..., :1])], axis=-1)
        fixed = dict(features=FEATURE_MAPS[self.feature_map][0], normalized=self.normalized)
        one, many = (partial(form, **fixed) for form in (step, parallel))
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        inputs = q_BTHK, k_BTHK, v_BTHV, begins_BT
        y_BTHV, after = self.run(one, partial(in_chunks, many, self.chunk), before, *inputs)
        output = Dense(width, ("heads", "embed"), self.bias, self.output_initializer, name="output")
        y_BTD = output(y_BTHV.reshape(rows, length, width).astype(x_BTD.dtype))
        return y_BTD, None if carry is None else after


def width_of_values(width: int, heads: int) -> int:
    """V of each head; raises UserError if the heads don't divide the width."""
    if heads < 1 or width % heads:
        raise UserError(f"a width of {width} is not a multiple of {heads} heads; change one")
    return width // heads
