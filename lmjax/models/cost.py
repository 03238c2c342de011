"""What a model costs: parameters, bytes of state, floating-point operations of each token."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.models.flops import flops_of
from lmjax.nn.leaves import leaf_name

MENTIONED_SHARE = 0.05  # of operations element by element: above it, tables speak of them


@dataclass(frozen=True)
class ModelCost:
    """Counts for one model.

    Floating-point operations (FLOPs) are those of matrix products and convolutions, a multiply and
    an add each; those done element by element, also in scans, are apart. `not_counted` names all
    others.
    """

    parameters: int
    non_embedding: int  # see `count_parameters`
    active: int  # those that one token's result depends on, beside the embedding rows not read
    state_bytes: int  # of the carry of one row
    flops_per_token: float  # forward
    training_flops_per_token: float  # forward and backward
    elementwise_per_token: float = 0.0  # forward
    training_elementwise_per_token: float = 0.0  # forward and backward
    not_counted: tuple[str, ...] = ()  # what works on matrices beside products and convolutions

    @property
    def training_operations_per_token(self) -> float:
        """All that are counted: by it arms' training is matched."""
        return self.training_flops_per_token + self.training_elementwise_per_token

    @property
    def elementwise_share(self) -> float:
        """Of the operations of training."""
        return self.training_elementwise_per_token / max(self.training_operations_per_token, 1)

    def to_json(self) -> dict[str, Any]:
        """As in `results.json`."""
        counts = asdict(self)
        parameters = {
            "total": counts.pop("parameters"),
            "non_embedding": counts.pop("non_embedding"),
            "active": counts.pop("active"),
        }
        return {"parameters": parameters, **counts}


def model_cost(
    model: LanguageModel,
    params: Any,
    length: int,
    source_length: int = 0,
    targets: int | None = None,
    loss: Callable[[Any], jax.Array] | None = None,
) -> ModelCost:
    """The cost of a gradient-trained model on rows of `length` tokens.

    Of a model that reads a source, of `source_length` tokens, reading it is part of the cost. Where
    only so many of a row's tokens are `targets`, the cost is that of each of them. `loss` is what
    is descended, of the parameters and one row; None: minus the log-probability of all its tokens.

    `params` may be abstract; the logical names of its axes tell which are embeddings.
    """
    total, non_embedding = count_parameters(params)
    plain = nn.meta.unbox(params)

    def nats(params):
        tokens_BT, source = (
            jnp.zeros((1, length), jnp.int32),
            model.example_source(1, source_length),
        )
        log_probs_BT, _ = model.apply(params, tokens_BT, tokens_BT, method="log_probs", **source)
        return -log_probs_BT.sum()

    forward = flops_of(jax.make_jaxpr(loss or nats)(plain).jaxpr)
    training = flops_of(jax.make_jaxpr(jax.grad(loss or nats))(plain).jaxpr)
    return ModelCost(
        parameters=total,
        non_embedding=non_embedding,
        active=count_active(params, model.active_shares),
        state_bytes=state_bytes(model, plain, length, source_length),
        flops_per_token=forward.counted / (targets or length),
        training_flops_per_token=training.counted / (targets or length),
        elementwise_per_token=forward.elementwise / (targets or length),
        training_elementwise_per_token=training.elementwise / (targets or length),
        not_counted=tuple(sorted(forward.not_counted | training.not_counted)),
    )


def count_parameters(params: Any) -> tuple[int, int]:
    """All parameters, and those without an axis `vocab` or `position`; `params` may be abstract.

    Of parameters without logical names of axes, only those of `nn.Embed` are left out.
    """
    total = non_embedding = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params, is_leaf=_is_boxed):
        size = math.prod(nn.meta.unbox(leaf).shape)
        if _is_boxed(leaf):
            embeds = "vocab" in leaf.names or "position" in leaf.names
        else:
            embeds = leaf_name(path).endswith("/embedding")
        total += size
        non_embedding += 0 if embeds else size
    return total, non_embedding


def count_active(params: Any, shares: Mapping[str, float]) -> int:
    """The parameters that one token's result depends on; `shares` as `LanguageModel.active_shares`.

    `params` may be abstract, boxed with the logical names of axes.
    """
    total = 0.0
    for leaf in jax.tree.leaves(params, is_leaf=_is_boxed):
        names = leaf.names if _is_boxed(leaf) else ()
        size = math.prod(nn.meta.unbox(leaf).shape)
        total += size * math.prod(shares.get(name, 1.0) for name in names)
    return round(total)


def _is_boxed(leaf: Any) -> bool:
    return isinstance(leaf, nn.Partitioned)


def counted_model_cost(model: LanguageModel, params: Any, length: int) -> ModelCost:
    """The cost of a model that is counted: its tables' entries, and no matrix products."""
    entries = sum(leaf.size for leaf in jax.tree.leaves(params))
    return ModelCost(entries, entries, entries, state_bytes(model, params, length), 0.0, 0.0)


def state_bytes(model: LanguageModel, params: Any, length: int, source_length: int = 0) -> int:
    """Bytes of one row's carry, for the longest context or, where there is no limit, `length`."""
    longest = model.longest_context or length

    def begin(params):
        return initial_carry(model, params, 1, longest, **model.example_source(1, source_length))

    carry = jax.eval_shape(begin, params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(carry))
