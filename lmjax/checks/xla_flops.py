"""XLA's own count of a program's floating-point operations, to hold ours against."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.extend import core
from ml_collections import ConfigDict

from lmjax.models.flops import Flops
from lmjax.models.registry import build_model
from lmjax.objectives.registry import make_objective
from lmjax.training.program import row_loss, training_cost
from lmjax.training.state import initial_params


def count_row(config: ConfigDict, tokenizer: Any) -> tuple[Flops, float]:
    """Of a training row, forward and backward: our count, and XLA's of everything."""
    model = build_model(config.model, tokenizer)
    objective = make_objective(config.objective, tokenizer)
    params = jax.eval_shape(partial(initial_params, model, length=1), np.uint32(0))
    cost = training_cost(config.data, objective, model, params)
    targets = objective.row_targets(config.data)
    ours = Flops(
        round(cost.training_flops_per_token * targets),
        round(cost.training_elementwise_per_token * targets),
    )
    batch = objective.example_batch(config.data)
    gradient = jax.grad(partial(row_loss, objective, model))
    return ours, xla_flops(gradient, nn.meta.unbox(params), batch)


def xla_flops(function: Callable, *arguments: Any) -> float:
    """What XLA's cost analysis counts of `function`, element-wise operations included.

    It is of the program before XLA has fused it: fused operations may compute a number anew
    wherever it is read, as the CPU's do. A loop's body is counted once, so scans are unrolled for
    it. Exponentials and the like are not in it. Arguments may be abstract. Raises ValueError if a
    loop of another kind is left.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    flat = core.jaxpr_as_fun(core.ClosedJaxpr(_unrolled(closed.jaxpr), closed.consts))
    lowered = jax.jit(flat).lower(*jax.tree.leaves(arguments))
    if "stablehlo.while" in lowered.as_text():
        raise ValueError("a loop is left, whose body XLA would count once")
    return lowered.cost_analysis()["flops"]


def _unrolled(jaxpr: core.Jaxpr) -> core.Jaxpr:
    def inside(value: Any) -> Any:
        if isinstance(value, core.ClosedJaxpr):
            return core.ClosedJaxpr(_unrolled(value.jaxpr), value.consts)
        if isinstance(value, core.Jaxpr):
            return _unrolled(value)
        return type(value)(map(inside, value)) if type(value) in (tuple, list) else value

    equations = []
    for equation in jaxpr.eqns:
        params = {name: inside(value) for name, value in equation.params.items()}
        if equation.primitive.name == "scan":
            params["unroll"] = params["length"]
        equations.append(equation.replace(params=params))
    return jaxpr.replace(eqns=equations)
