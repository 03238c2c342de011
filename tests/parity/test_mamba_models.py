"""Layers of Mamba against transformers' Mamba with the same random weights."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from lmjax.config import model_config
from lmjax.models.registry import build_model
from tests.parity.whole_logits import check_logits

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, LAYERS, WIDTH, STATES, TAPS, RANK = 30, 2, 10, 3, 4, 2
tokens_BT, targets_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, 2, 23))
MIXER = {
    "in_proj.weight": "input/kernel",
    "conv1d.weight": "convolution/kernel",
    "conv1d.bias": "convolution/bias",
    "x_proj.weight": "selection/kernel",
    "dt_proj.weight": "step_kernel",
    "dt_proj.bias": "step_bias",
    "A_log": "log_decay",
    "D": "skip",
    "out_proj.weight": "output/kernel",
}


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    config = transformers.MambaConfig(
        vocab_size=VOCABULARY,
        num_hidden_layers=LAYERS,
        hidden_size=WIDTH,
        state_size=STATES,
        conv_kernel=TAPS,
        expand=2,
        time_step_rank=RANK,
    )
    model = transformers.MambaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def ours():
    config = model_config("transformer")
    config.update(layers=LAYERS, width=WIDTH, norm="rms_norm", position="none", pattern=("mamba",))
    options = dict(state_width=STATES, convolution_width=TAPS, rank=RANK, chunk=7)
    config.update(feed_forward="none", mixers=dict(mamba=options))
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def renamed(read):
    """`read(name)` of each of their parameters, in our tree."""
    found = {
        "embedding/embedding": read("backbone.embeddings.weight"),
        "final_norm/scale": read("backbone.norm_f.weight"),
    }
    for layer in range(LAYERS):
        begin = f"backbone.layers.{layer}"
        found[f"blocks_{layer}/mixer_norm/scale"] = read(f"{begin}.norm.weight")
        for theirs, name in MIXER.items():
            value = read(f"{begin}.mixer.{theirs}").squeeze()
            value = value.T if "kernel" in name else value
            found[f"blocks_{layer}/mixer/{name}"] = value
    return {"params": unflatten_dict(found, sep="/")}


def test_logits_are_those_of_transformers(theirs, ours):
    params = renamed(lambda name: theirs.get_parameter(name).detach().numpy())
    check_logits("Mamba", theirs, ours, params, tokens_BT)


def test_gradients_are_those_of_transformers(theirs, ours):
    params = renamed(lambda name: theirs.get_parameter(name).detach().numpy())
    logits_BTV = theirs(torch.tensor(tokens_BT)).logits
    torch.nn.functional.cross_entropy(
        logits_BTV.flatten(0, 1), torch.tensor(targets_BT).flatten()
    ).backward()

    def nats(params):
        return -ours.apply(params, tokens_BT, targets_BT, method="log_probs")[0].mean()

    expected = renamed(lambda name: theirs.get_parameter(name).grad.numpy())
    differences = jax.tree.map(
        lambda one, other: np.abs(one - other).max() / np.abs(other).max(),
        jax.grad(nats)(params),
        expected,
    )
    worst = max(jax.tree.leaves(differences))
    print(f"Mamba: largest relative difference of gradients {worst:.0e}")
    assert worst <= 1e-4, differences
