"""Lightning attention against transformers' MiniMax with the same random weights."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.mixers.lightning_attention import LightningAttention

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ROWS, LENGTH, WIDTH, HEADS, LAYER, LAYERS = 2, 19, 12, 3, 1, 4
x_BTD, pull_BTD = np.random.default_rng(0).normal(size=(2, ROWS, LENGTH, WIDTH)).astype(np.float32)


def test_the_layer_is_that_of_transformers(capsys):
    """Outputs and gradients by all, in blocks of 4 tokens there and chunks of 7 here."""
    from transformers.models.minimax.modeling_minimax import MiniMaxLightningAttention

    torch.manual_seed(0)
    config = transformers.MiniMaxConfig(
        hidden_size=WIDTH, num_attention_heads=HEADS, num_hidden_layers=LAYERS, block_size=4
    )
    theirs = MiniMaxLightningAttention(config, layer_idx=LAYER)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    named = dict(theirs.named_parameters())

    def renamed(read):
        # They keep q, k and v of a head together; we keep all heads' q together.
        qkv = read("qkv_proj.weight").reshape(HEADS, 3, -1, WIDTH).swapaxes(0, 1)
        return {
            "params": {
                "qkv": {"kernel": qkv.reshape(-1, WIDTH).T},
                "gate": {"kernel": read("output_gate.weight").T},
                "norm": {"scale": read("norm.weight")},
                "output": {"kernel": read("out_proj.weight").T},
            }
        }

    x = torch.tensor(x_BTD, requires_grad=True)
    expected_BTD, _ = theirs(x, None, None)
    expected_BTD.backward(torch.tensor(pull_BTD))
    normal = nn.initializers.normal()
    ours = LightningAttention(
        width=WIDTH,
        heads=HEADS,
        initializer=normal,
        output_initializer=normal,
        layer=LAYER,
        layers=LAYERS,
        chunk=7,
    )

    @jax.jit
    def read(params, x_BTD):
        return ours.apply(params, x_BTD, None, np.arange(LENGTH)[None], None, True)[0]

    params = renamed(lambda name: named[name].detach().numpy())
    found_BTD, pull = jax.vjp(read, params, x_BTD)
    gradients = renamed(lambda name: named[name].grad.numpy()), x.grad.numpy()
    found = found_BTD, *pull(pull_BTD)
    expected = expected_BTD.detach().numpy(), *gradients

    def difference(a, b):
        return np.abs(np.asarray(a) - b).max() / np.abs(b).max()

    worst = max(jax.tree.leaves(jax.tree.map(difference, found, expected)))
    with capsys.disabled():
        print(f"\nlightning attention: largest relative difference {worst:.1e}")
    assert worst <= 1e-4
