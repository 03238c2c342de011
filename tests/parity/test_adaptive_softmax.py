"""The adaptive softmax against torch.nn.AdaptiveLogSoftmaxWithLoss, with the same weights."""

import jax
import numpy as np
import torch
from flax.linen import meta
from jax.nn.initializers import normal

from lmjax.nn.output_registry import output_maker

WIDTH, VOCABULARY, ROWS, LENGTH = 24, 57, 3, 7


def test_log_probabilities_and_gradients_are_torchs():
    """Clusters of other sizes, one of which has no target; 21 targets in chunks of 4."""
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(
        WIDTH, VOCABULARY, cutoffs=[10, 20, 41], div_value=2.0, head_bias=True
    )
    layer = output_maker(
        "adaptive_softmax",
        {"cutoffs": "10,20,41", "projection_factor": 2.0, "chunk": 4},
        vocabulary_size=VOCABULARY,
        width=WIDTH,
        table_width=0,
        initializer=normal(1.0),
        bias=True,
    )()
    generator = np.random.default_rng(0)
    hidden_BTD = generator.normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
    targets_BT = generator.choice(np.r_[0:20, 41:VOCABULARY], (ROWS, LENGTH))
    names = {"kernel": theirs.head.weight, "bias": theirs.head.bias}
    for index, (projection, kernel) in enumerate(theirs.tail):
        names |= {f"projection_{index}": projection.weight, f"tail_kernel_{index}": kernel.weight}
    params = {name: weight.detach().numpy().T for name, weight in names.items()}
    shapes = meta.unbox(
        jax.eval_shape(lambda: layer.init(jax.random.key(0), hidden_BTD, method="logits"))
    )
    assert jax.tree.map(np.shape, shapes["params"]) == jax.tree.map(np.shape, params)

    def nats(params, hidden_BTD):
        log_probs_BT = layer.apply({"params": params}, hidden_BTD, targets_BT, method="log_probs")
        return -log_probs_BT.mean(), log_probs_BT

    gradients, log_probs_BT = jax.grad(nats, (0, 1), has_aux=True)(params, hidden_BTD)
    hidden = torch.tensor(hidden_BTD.reshape(-1, WIDTH), requires_grad=True)
    found = theirs(hidden, torch.tensor(targets_BT.reshape(-1)))
    found.loss.backward()
    close = dict(rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_probs_BT.reshape(-1), found.output.detach(), **close)
    np.testing.assert_allclose(gradients[1].reshape(-1, WIDTH), hidden.grad, **close)
    for name, weight in names.items():
        expected = torch.zeros_like(weight) if weight.grad is None else weight.grad
        np.testing.assert_allclose(gradients[0][name], expected.T, **close, err_msg=name)
    logits_BTV = layer.apply({"params": params}, hidden_BTD, method="logits")
    theirs_NV = theirs.log_prob(hidden).detach()
    np.testing.assert_allclose(logits_BTV.reshape(-1, VOCABULARY), theirs_NV, **close)
