"""Parameters by their names: which are frozen, and how deep in the model each one stands."""

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lmjax.errors import UserError, nearest
from lmjax.models.stack import LAYERS
from lmjax.nn.leaves import leaf_name

NUMBERED = re.compile(r"^((?:\w+/)*?(?:\w+_)?(?:block|mixer|layer)s?)_(\d+)(?:/|$)")


def matching(names: Iterable[str], patterns: Sequence[str], field: str) -> set[str]:
    """The names that one of the patterns matches: `embedding`, `blocks_*/mixer` or `*/bias`.

    A pattern stands for a path below `params/`, and for all that is below that. Raises UserError
    for one that matches none.
    """
    found: set[str] = set()
    for pattern in patterns:
        hits = {name for name in names if _is_matched(below_params(name), below_params(pattern))}
        if not hits:
            raise UserError(
                f"{field} has the pattern {pattern!r}, which matches no parameter: "
                f"{nearest(pattern, map(below_params, names))}"
            )
        found |= hits
    return found


def below_params(name: str) -> str:
    """The name of a leaf, or a pattern of names, without the collection that all are in."""
    return name.removeprefix("params/")


def _is_matched(name: str, pattern: str) -> bool:
    ends = [match.start() for match in re.finditer("/", name)]
    return any(fnmatchcase(name[:end], pattern) for end in [*ends, len(name)])


def frozen_leaves(params: Any, patterns: Sequence[str]) -> Any:
    """A tree of whether each parameter is frozen, of the structure of the unboxed `params`."""
    plain = nn.meta.unbox(params)
    names = [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(plain)]
    frozen = matching(names, patterns, "training.frozen")
    if frozen and len(frozen) == len(names):
        raise UserError("training.frozen names all parameters, so there is nothing to train")
    return _by_name(plain, lambda name, leaf: name in frozen)


def frozen_line(params: Any, patterns: Sequence[str]) -> str:
    """How many parameters, and numbers in them, are frozen."""
    frozen = jax.tree.leaves(frozen_leaves(params, patterns))
    sizes = [leaf.size for leaf in jax.tree.leaves(nn.meta.unbox(params))]
    held = sum(size for size, is_frozen in zip(sizes, frozen, strict=True) if is_frozen)
    return f"frozen: {sum(frozen)} of {len(frozen)} parameters, {held:,} of {sum(sizes):,} numbers"


def layer_factors(params: Any, decay: float) -> Any:
    """What each parameter's learning rate is multiplied by: `decay` once for each layer above it.

    Embeddings stand below the first layer, and what has no number, such as a head, above the last
    (Howard and Ruder 2018, section 3.2; Clark et al. 2020, appendix A). Layers are numbered in the
    parameters' names, or stacked along a logical axis `layers`; of several stacks each is numbered
    by itself. Raises UserError for a model without such layers.
    """
    boxed = jax.tree_util.tree_leaves_with_path(
        params, is_leaf=lambda leaf: isinstance(leaf, nn.Partitioned)
    )
    numbers, sizes = {}, {}  # of each leaf in a stack of layers; of each stack
    for path, leaf in boxed:
        name = leaf_name(path)
        if numbered := NUMBERED.search(name):
            is_stacked = isinstance(leaf, nn.Partitioned) and leaf.names[0] == LAYERS
            periods = nn.meta.unbox(leaf).shape[0] if is_stacked else 1
            stack, number = numbered[1], int(numbered[2])
            numbers[name] = stack, number, periods
            sizes[stack] = max(sizes.get(stack, 0), number + 1)
    if not numbers:
        raise UserError(
            f"training.layer_decay is {decay}, but this model has no numbered layers; set it to 1"
        )
    layers = {stack: sizes[stack] * periods for stack, _, periods in numbers.values()}
    highest = max(layers.values())

    def factor(name, leaf):
        if name not in numbers:
            return decay ** (highest + 1) if "embedding" in name else 1.0
        stack, number, periods = numbers[name]
        if periods == 1:
            return decay ** (layers[stack] - number)
        depth_L = np.arange(periods) * sizes[stack] + number
        factor_L = np.float32(decay) ** (layers[stack] - depth_L)
        return factor_L.reshape(-1, *[1] * (leaf.ndim - 1))

    return _by_name(nn.meta.unbox(params), factor)


def factors_line(params: Any, decay: float) -> str:
    """What `layer_factors` are, from the lowest, so that each is seen to be where it belongs."""
    modules: dict[float, dict[str, None]] = {}
    for path, factor in jax.tree_util.tree_leaves_with_path(layer_factors(params, decay)):
        name = leaf_name(path)
        numbered = NUMBERED.search(name)
        module = f"{numbered[1]}_{numbered[2]}" if numbered else _module(name)
        for each in np.ravel(factor):
            modules.setdefault(float(each), {})[below_params(module)] = None
    parts = [f"x{each:.4g} {', '.join(names)}" for each, names in sorted(modules.items())]
    return f"learning rates by layer: {'; '.join(parts)}"


def _module(name: str) -> str:
    """Where a leaf stands; itself if it stands in no module."""
    above = name.rpartition("/")[0]
    return name if above == "params" else above


def _by_name(tree: Any, of: Callable[[str, Any], Any]) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, leaf: of(leaf_name(path), leaf), tree)
