"""Floating-point operations of a program, counted from what JAX traced of it.

Counted are matrix products and convolutions, a multiply and an add each, loops as often as they
run. Not counted are element-wise operations, those of scans included, and reductions: next to
products of some width they are few. What else works on matrices is named, so that no count is
short in silence.
"""

import math
from dataclasses import dataclass

import jax
from jax.extend import core

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
    "triangular_solve",
    "tridiagonal",
    "tridiagonal_solve",
}


@dataclass(frozen=True)
class Flops:
    """Operations of a program, and the names of what else it does that is not among them."""

    counted: int = 0
    not_counted: frozenset[str] = frozenset()

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(self.counted + other.counted, self.not_counted | other.not_counted)

    def times(self, repeats: int) -> "Flops":
        """Those of a program that runs this one so often."""
        return Flops(repeats * self.counted, self.not_counted)


def flops_of(jaxpr: core.Jaxpr) -> Flops:
    """The operations of a program; of a condition, those of its dearest branch."""
    return sum(map(_flops_of_equation, jaxpr.eqns), Flops())


def _flops_of_equation(equation: core.JaxprEqn) -> Flops:
    name, params = equation.primitive.name, equation.params
    if name in UNCOUNTED:
        return Flops(0, frozenset({name}))
    if name == "dot_general":
        return Flops(_product(equation))
    if name == "conv_general_dilated":
        return Flops(_convolution(equation))
    inner = [flops_of(jaxpr) for jaxpr in _inner(equation)]
    if name == "while":
        found = sum(inner, Flops())
        repeated = {"products in a while loop"} if found.counted else set()
        return Flops(0, found.not_counted | repeated)
    if name == "cond":
        names = frozenset().union(*(branch.not_counted for branch in inner))
        return Flops(max(branch.counted for branch in inner), names)
    return sum(inner, Flops()).times(params["length"] if name == "scan" else 1)


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


def _inner(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    found = jax.tree.leaves(
        list(equation.params.values()),
        is_leaf=lambda leaf: isinstance(leaf, core.Jaxpr | core.ClosedJaxpr),
    )
    closed = [leaf.jaxpr if isinstance(leaf, core.ClosedJaxpr) else leaf for leaf in found]
    return [leaf for leaf in closed if isinstance(leaf, core.Jaxpr)]
