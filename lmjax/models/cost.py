"""What a model costs: parameters, bytes of state, floating-point operations of each token."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend import core

from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.nn.leaves import leaf_name


@dataclass(frozen=True)
class ModelCost:
    """Counts for one model; operations are those of matrix products, a multiply and an add each."""

    parameters: int
    non_embedding: int  # see `count_parameters`
    active: int  # those that one token's result depends on, beside the embedding rows not read
    state_bytes: int  # of the carry of one row
    flops_per_token: float  # forward
    training_flops_per_token: float  # forward and backward

    def to_json(self) -> dict[str, Any]:
        """As in `results.json`."""
        counts = asdict(self)
        parameters = {
            "total": counts.pop("parameters"),
            "non_embedding": counts.pop("non_embedding"),
            "active": counts.pop("active"),
        }
        return {"parameters": parameters, **counts}


def model_cost(model: LanguageModel, params: Any, length: int) -> ModelCost:
    """The cost of a gradient-trained model on rows of `length` tokens.

    `params` may be abstract; the logical names of its axes tell which are embeddings.
    """
    total, non_embedding = count_parameters(params)
    plain = nn.meta.unbox(params)
    tokens_BT = jax.ShapeDtypeStruct((1, length), jnp.int32)

    def nats(params, tokens_BT):
        log_probs_BT, _ = model.apply(params, tokens_BT, tokens_BT, method="log_probs")
        return log_probs_BT.sum()

    forward = matmul_flops(jax.make_jaxpr(nats)(plain, tokens_BT).jaxpr)
    training = matmul_flops(jax.make_jaxpr(jax.grad(nats))(plain, tokens_BT).jaxpr)
    return ModelCost(
        parameters=total,
        non_embedding=non_embedding,
        active=total,
        state_bytes=state_bytes(model, plain, length),
        flops_per_token=forward / length,
        training_flops_per_token=training / length,
    )


def count_parameters(params: Any) -> tuple[int, int]:
    """All parameters, and those without an axis `vocab` or `position`; `params` may be abstract.

    Of parameters without logical names of axes, only those of `nn.Embed` are left out.
    """
    total = non_embedding = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params, is_leaf=_is_boxed):
        size = math.prod(nn.meta.unbox(leaf).shape)
        embeds = (
            not {"vocab", "position"}.isdisjoint(leaf.names)
            if _is_boxed(leaf)
            else (leaf_name(path).endswith("/embedding"))
        )
        total += size
        non_embedding += 0 if embeds else size
    return total, non_embedding


def _is_boxed(leaf: Any) -> bool:
    return isinstance(leaf, nn.Partitioned)


def counted_model_cost(model: LanguageModel, params: Any, length: int) -> ModelCost:
    """The cost of a model that is counted: its tables' entries, and no matrix products."""
    entries = sum(leaf.size for leaf in jax.tree.leaves(params))
    return ModelCost(entries, entries, entries, state_bytes(model, params, length), 0.0, 0.0)


def state_bytes(model: LanguageModel, params: Any, length: int) -> int:
    """Bytes of one row's carry, for the longest context or, where there is no limit, `length`."""
    longest = model.longest_context or length
    carry = jax.eval_shape(lambda params: initial_carry(model, params, 1, longest), params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(carry))


def matmul_flops(jaxpr: core.Jaxpr) -> int:
    """Operations of all matrix products in a program, loops counted as often as they run."""
    flops = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            products = math.prod(equation.outvars[0].aval.shape)
            flops += 2 * products * math.prod(left[axis] for axis in contracted)
        repeats = equation.params["length"] if equation.primitive.name == "scan" else 1
        flops += repeats * sum(matmul_flops(inner) for inner in _inner(equation))
    return flops


def _inner(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    found = jax.tree.leaves(
        list(equation.params.values()),
        is_leaf=lambda leaf: isinstance(leaf, core.Jaxpr | core.ClosedJaxpr),
    )
    closed = [leaf.jaxpr if isinstance(leaf, core.ClosedJaxpr) else leaf for leaf in found]
    return [leaf for leaf in closed if isinstance(leaf, core.Jaxpr)]
