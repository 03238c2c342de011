"""Floating-point operations of a program, counted from what JAX traced of it.

Counted are matrix products, convolutions and triangular systems that are solved by substitution, a
multiply and an add each, and, apart from them, what is done element by element: arithmetic on
floating-point numbers, one for each that comes out, and reductions, one for each that goes in.
Loops count as often as they run. Comparisons, selections and conversions are no arithmetic;
exponentials and the like are one operation each. What else works on matrices is named, so that no
count is short in silence.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters.partial_eval import dce_jaxpr

from lmjax.nn.precision import sum_of_rows

# Primitives that work on whole matrices, or whose work can't be told from what was traced.
UNCOUNTED = {
    "cholesky",
    "custom_call",
    "eig",
    "eigh",
    "fft",
    "ffi_call",
    "hessenberg",
    "householder_product",
    "io_callback",
    "lu",
    "pallas_call",
    "pure_callback",
    "qr",
    "ragged_dot",
    "ragged_dot_general",
    "schur",
    "svd",
    "tridiagonal",
    "tridiagonal_solve",
}
ELEMENTWISE = {
    "abs",
    "acos",
    "acosh",
    "add",
    "add_any",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "clamp",
    "cos",
    "cosh",
    "digamma",
    "div",
    "erf",
    "erf_inv",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "integer_pow",
    "lgamma",
    "log",
    "log1p",
    "logistic",
    "max",
    "min",
    "mul",
    "neg",
    "nextafter",
    "pow",
    "rem",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
}
REDUCTIONS = {
    "argmax",
    "argmin",
    "cumlogsumexp",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
}
SCATTERS = {"scatter-add", "scatter-mul", "scatter-max", "scatter-min", "scatter_add"}


@dataclass(frozen=True)
class Flops:
    """Operations of a program, and the names of what else it does that is not among them."""

    counted: int = 0  # of matrix products, convolutions and triangular systems
    elementwise: int = 0
    not_counted: frozenset[str] = frozenset()

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(
            self.counted + other.counted,
            self.elementwise + other.elementwise,
            self.not_counted | other.not_counted,
        )

    def times(self, repeats: int) -> "Flops":
        """Those of a program that runs this one so often."""
        return Flops(repeats * self.counted, repeats * self.elementwise, self.not_counted)


def flops_of(jaxpr: core.Jaxpr) -> Flops:
    """The operations of a program; of a condition, those of its dearest branch.

    What nothing of the results depends on is left out, as XLA leaves it out.
    """
    return _flops_of(dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))[0])


def _flops_of(jaxpr: core.Jaxpr) -> Flops:
    return sum(map(_flops_of_equation, jaxpr.eqns), Flops())


def _flops_of_equation(equation: core.JaxprEqn) -> Flops:
    name, params = equation.primitive.name, equation.params
    if name in UNCOUNTED:
        return Flops(not_counted=frozenset({name}))
    if name == "dot_general":
        return Flops(_product(equation))
    if name == "conv_general_dilated":
        return Flops(_convolution(equation))
    if name == "triangular_solve":
        return Flops(_substitution(equation))
    if params.get("name") == sum_of_rows.__name__:
        return Flops(elementwise=_numbers(equation.invars[0]))
    if name in ELEMENTWISE:
        return Flops(elementwise=_numbers(equation.outvars[0]))
    if name in REDUCTIONS:
        return Flops(elementwise=_numbers(equation.invars[0]))
    if name in SCATTERS:
        return Flops(elementwise=_numbers(equation.invars[2]))
    inner = [_flops_of(jaxpr) for jaxpr in _inner(equation)]
    if name == "while":
        return Flops(not_counted=_of_a_while_loop(sum(inner, Flops())))
    if name == "cond":
        dearest = max(inner, key=lambda branch: branch.counted + branch.elementwise)
        names = frozenset().union(*(branch.not_counted for branch in inner))
        return replace(dearest, not_counted=names)
    return sum(inner, Flops()).times(params["length"] if name == "scan" else 1)


def _of_a_while_loop(once: Flops) -> frozenset[str]:
    """What can't be counted, as nobody knows how often the loop runs."""
    what = "products" if once.counted else "element-wise operations" if once.elementwise else ""
    return once.not_counted | ({f"{what} in a while loop"} if what else set())


def _numbers(variable: Any) -> int:
    """How many floating-point numbers an array has; none, if it is of others."""
    aval = variable.aval
    return math.prod(aval.shape) if jnp.issubdtype(aval.dtype, jnp.inexact) else 0


def _product(equation: core.JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    products = math.prod(equation.outvars[0].aval.shape)
    return 2 * products * math.prod(left[axis] for axis in contracted)


def _convolution(equation: core.JaxprEqn) -> int:
    """Padding is counted as if it were input; zeros between dilated inputs are not."""
    kernel = equation.invars[1].aval.shape
    features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    read = math.prod(kernel) // features  # by each output
    outputs = math.prod(equation.outvars[0].aval.shape)
    return 2 * outputs * read // math.prod(equation.params["lhs_dilation"])


def _substitution(equation: core.JaxprEqn) -> int:
    """`n^2` for each of the right sides: a multiply and an add for what stands below a diagonal."""
    matrix, right = (variable.aval.shape for variable in equation.invars)
    return matrix[-1] * math.prod(right)


def _inner(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    found = jax.tree.leaves(
        list(equation.params.values()),
        is_leaf=lambda leaf: isinstance(leaf, core.Jaxpr | core.ClosedJaxpr),
    )
    closed = [leaf.jaxpr if isinstance(leaf, core.ClosedJaxpr) else leaf for leaf in found]
    return [leaf for leaf in closed if isinstance(leaf, core.Jaxpr)]
