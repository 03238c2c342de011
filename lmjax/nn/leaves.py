"""The leaves of a tree of arrays: their names, and whether they are finite."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def first_nonfinite(tree: Any) -> str | None:
    """The path of the first leaf with a NaN or an infinity; None if all are finite."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(nn.meta.unbox(tree)):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.floating) and not np.isfinite(array).all():
            return leaf_name(path)
    return None


def leaf_name(path: tuple) -> str:
    """A leaf's path in a tree, as `params/layer_0/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
