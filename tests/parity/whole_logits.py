"""Logits of a model of ours against those of transformers', read at once and from the carry."""

import flax.linen as nn
import jax
import numpy as np

from lmjax.models.contract import initial_carry

LIMIT = 1e-5  # relative to the largest logit


def check_logits(name, theirs, ours, params, tokens_BT, first=4):
    """All at once, then the `first` tokens, two more, and the others one by one."""
    import torch

    like = nn.meta.unbox(jax.eval_shape(ours.init, jax.random.key(0), tokens_BT))
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, like)
    with torch.no_grad():
        expected_BTV = theirs(torch.tensor(tokens_BT)).logits.numpy()
    apply, scale = jax.jit(ours.apply), np.abs(expected_BTV).max()
    found_BTV, _ = apply(params, tokens_BT)
    whole = np.abs(found_BTV - expected_BTV).max() / scale
    (rows, length), found = tokens_BT.shape, []
    carry = initial_carry(ours, params, rows, length)
    borders = [0, first, *range(first + 2, length + 1)]
    for part in map(slice, borders, borders[1:]):
        logits_BTV, carry = apply(params, tokens_BT[:, part], carry)
        found.append(logits_BTV)
    carried = np.abs(np.concatenate(found, axis=1) - expected_BTV).max() / scale
    print(f"{name}: largest relative difference {whole:.0e}, from the carry {carried:.0e}")
    assert whole <= LIMIT and carried <= LIMIT
