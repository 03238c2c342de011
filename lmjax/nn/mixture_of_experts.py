"""Feed-forward networks side by side, of which each token goes through a few (Shazeer et al. 2017).

Routing and loss are those of Mixtral (Jiang et al. 2024, section 2.1) and of Switch Transformers
(Fedus et al. 2022, section 2.2), whose one expert for each token is a choice of options.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.nn.dense import Dense
from lmjax.nn.extras import sow_loss, sow_measure
from lmjax.nn.feed_forward import FEED_FORWARDS
from lmjax.nn.precision import wide

EXPERTS = "experts"  # the logical axis along which their parameters are stacked


class MixtureOfExperts(nn.Module):
    """The sum of a token's chosen experts, each times its share of the router's probability.

    Where it is not deterministic and has a `capacity_factor`, an expert takes in so many times the
    mean number of tokens and no more: first choices go before second ones, earlier tokens of the
    batch before later ones, and who finds no place gets nothing of that expert. Otherwise there is
    no limit, so that no row depends on its neighbours; all experts then read all tokens, at
    `experts / experts_per_token` times the price.

    It sows the loss `load_balancing`, and measures: the load of the `busiest_expert`, by the mean
    of all, and the `dropped_share` of the choices. Raises UserError for options out of range.
    """

    inner_width: int  # F, of each expert
    bias: bool  # of the experts; the router has none
    initializer: Initializer
    output_initializer: Initializer
    expert: str = "swiglu"  # one of FEED_FORWARDS
    experts: int = 8
    experts_per_token: int = 2  # up to `experts`
    capacity_factor: float = 0.0  # 0: no limit
    balance: float = 0.01  # what the load-balancing loss is multiplied by; Switch's, section 2.2

    def __post_init__(self):
        super().__post_init__()
        if self.expert not in FEED_FORWARDS:
            hint = nearest(self.expert, FEED_FORWARDS)
            raise UserError(f"unknown expert {self.expert!r} of mixture_of_experts: {hint}")
        if self.inner_width < 1:
            raise UserError(
                f"each expert of mixture_of_experts is {self.inner_width} wide; give at least 1 as "
                "model.feed_forward_width or option inner_width"
            )
        if not 1 <= self.experts_per_token <= self.experts:
            raise UserError(
                f"mixture_of_experts has experts_per_token {self.experts_per_token} of experts "
                f"{self.experts}; give at least 1 and at most all"
            )
        if self.capacity_factor < 0 or self.balance < 0:
            raise UserError(
                f"mixture_of_experts has capacity_factor {self.capacity_factor} and balance "
                f"{self.balance}; give zero or more"
            )

    @property
    def active_shares(self) -> dict[str, float]:
        """See `LanguageModel.active_shares`."""
        return {EXPERTS: self.experts_per_token / self.experts}

    @nn.compact
    def __call__(self, x_BTD: jax.Array, deterministic: bool = True) -> jax.Array:
        """`y_BTD`."""
        x_ND = x_BTD.reshape(-1, x_BTD.shape[-1])
        axes = "embed", "hidden"
        router = Dense(self.experts, axes, initializer=self.initializer, name="router")
        probabilities_NX = jax.nn.softmax(router(x_ND.astype(wide(x_ND.dtype))))
        weights_NC, chosen_NC = chosen(probabilities_NX, self.experts_per_token)
        loads_X = tokens_of(chosen_NC, self.experts)
        loss = load_balancing(probabilities_NX, loads_X)
        sow_loss(self, "load_balancing", self.balance * loss)
        sow_measure(self, "busiest_expert", loads_X.max() / loads_X.mean())
        if deterministic or not self.capacity_factor:
            y_ND = self._by_all(x_ND, weights_NC, chosen_NC)
        else:
            y_ND = self._by_few(x_ND, weights_NC, chosen_NC)
        return y_ND.reshape(x_BTD.shape)

    def _by_all(self, x_ND, weights_NC, chosen_NC) -> jax.Array:
        """Each expert reads each token."""
        y_XND = self._make_experts(None)(x_ND)
        is_chosen_NCX = jax.nn.one_hot(chosen_NC, self.experts, dtype=weights_NC.dtype)
        weights_NX = (weights_NC[..., None] * is_chosen_NCX).sum(axis=1)
        return jnp.einsum("xnd,nx->nd", y_XND, weights_NX.astype(y_XND.dtype))

    def _by_few(self, x_ND, weights_NC, chosen_NC) -> jax.Array:
        """Each expert reads the tokens that find a place."""
        (length, width), experts = x_ND.shape, self.experts
        mean = length * self.experts_per_token / experts
        places = min(length, math.ceil(self.capacity_factor * mean))
        place_NC = places_of(chosen_NC, experts, places)
        sow_measure(self, "dropped_share", (place_NC == experts * places).mean())
        token_NC = jnp.broadcast_to(jnp.arange(length)[:, None], place_NC.shape)
        token_S = jnp.full(experts * places, length).at[place_NC].set(token_NC, mode="drop")
        x_SD = jnp.take(x_ND, token_S, axis=0, mode="fill", fill_value=0)
        y_XSD = self._make_experts(0)(x_SD.reshape(experts, places, width))
        y_SD = y_XSD.reshape(-1, width)
        y_NCD = jnp.take(y_SD, place_NC, axis=0, mode="fill", fill_value=0)
        return (weights_NC[..., None].astype(y_NCD.dtype) * y_NCD).sum(axis=1)

    def _make_experts(self, axis: int | None) -> nn.Module:
        """All of them as one; `axis` is that of x along which each has its own."""
        part = FEED_FORWARDS[self.expert]
        stacked = nn.vmap(
            part.func,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=axis,
            axis_size=self.experts,
            metadata_params={nn.PARTITION_NAME: EXPERTS},
        )
        return stacked(
            *part.args,
            inner_width=self.inner_width,
            bias=self.bias,
            initializer=self.initializer,
            output_initializer=self.output_initializer,
            name="experts",
        )


def chosen(probabilities_NX: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """`weights_NC, chosen_NC`: the most probable experts, with weights that sum to one.

    They are the softmax over the chosen experts' scores. Of one alone it is its probability, or
    the router would learn nothing of what it chooses (Fedus et al. 2022, eq. 2).
    """
    likeliest_NC, chosen_NC = jax.lax.top_k(probabilities_NX, count)
    if count == 1:
        return likeliest_NC, chosen_NC
    return likeliest_NC / likeliest_NC.sum(axis=-1, keepdims=True), chosen_NC


def tokens_of(chosen_NC: jax.Array, experts: int) -> jax.Array:
    """`loads_X`: how many tokens chose each expert, by how many there are."""
    return jax.nn.one_hot(chosen_NC, experts).sum(axis=(0, 1)) / len(chosen_NC)


def load_balancing(probabilities_NX: jax.Array, loads_X: jax.Array) -> jax.Array:
    """As many times the products of load and mean probability as there are experts.

    Fedus et al. (2022), eq. 4. If all have the same it is the number of experts of a token.
    """
    return probabilities_NX.shape[-1] * (loads_X * probabilities_NX.mean(axis=0)).sum()


def places_of(chosen_NC: jax.Array, experts: int, places: int) -> jax.Array:
    """`place_NC` among `experts * places`; that number itself for who finds none."""
    in_order_N = chosen_NC.T.ravel()  # all first choices, then all second ones
    is_chosen_NX = jax.nn.one_hot(in_order_N, experts, dtype=jnp.int32)
    before_NX = jnp.cumsum(is_chosen_NX, axis=0) - is_chosen_NX
    before_N = jnp.take_along_axis(before_NX, in_order_N[:, None], axis=1)[:, 0]
    place_N = jnp.where(before_N < places, in_order_N * places + before_N, experts * places)
    return place_N.reshape(chosen_NC.shape[::-1]).T
