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


def token_embedding(params: Any, vocabulary_size: int) -> str | None:
    """The name of the table that tokens are looked up in; None if it can't be told.

    It is the leaf `embedding` with a row for each token; of several, that of the module which is
    called so, too.
    """
    names = [
        leaf_name(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(nn.meta.unbox(params))
        if leaf_name(path).endswith("/embedding") and leaf.shape[0] == vocabulary_size
    ]
    named = [name for name in names if name.endswith("/embedding/embedding")]
    found = names if len(names) == 1 else named
    return found[0] if len(found) == 1 else None


def leaf_named(tree: Any, name: str) -> Any:
    """The leaf of that name; raises KeyError if there is none."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if leaf_name(path) == name:
            return leaf
    raise KeyError(name)


def leaf_name(path: tuple) -> str:
    """A leaf's path in a tree, as `params/layer_0/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
