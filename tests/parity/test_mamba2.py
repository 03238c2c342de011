"""Layers of Mamba-2 against transformers' Mamba-2 with the same random weights."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.config import model_config
from lmjax.models.registry import build_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, LAYERS, WIDTH, HEADS, HEAD_WIDTH, GROUPS, STATES = 30, 2, 12, 6, 4, 2, 5
LENGTH, PROMPT = 23, 15
LIMIT = 1e-4
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))


@pytest.fixture(scope="module")
def theirs():
    """Weights large enough that everything matters; each group serves three heads."""
    torch.manual_seed(0)
    config = transformers.Mamba2Config(
        vocab_size=VOCABULARY,
        num_hidden_layers=LAYERS,
        hidden_size=WIDTH,
        num_heads=HEADS,
        head_dim=HEAD_WIDTH,
        n_groups=GROUPS,
        state_size=STATES,
        chunk_size=8,
        tie_word_embeddings=True,
    )
    model = transformers.Mamba2ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def ours():
    config = model_config("transformer")
    config.update(layers=LAYERS, width=WIDTH, norm="rms_norm", position="none", pattern=("mamba2",))
    options = dict(state_width=STATES, head_width=HEAD_WIDTH, groups=GROUPS, chunk=7)
    config.update(feed_forward="none", mixers=dict(mamba2=options))
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def renamed(read):
    """`read(name)` of each of their parameters, in our tree."""
    tree = {
        "embedding": {"embedding": read("backbone.embeddings.weight")},
        "final_norm": {"scale": read("backbone.norm_f.weight")},
    }
    for layer in range(LAYERS):
        prefix = f"backbone.layers.{layer}."
        mixer = f"{prefix}mixer."
        tree[f"blocks_{layer}"] = {
            "mixer_norm": {"scale": read(f"{prefix}norm.weight")},
            "mixer": {
                "input": {"kernel": read(f"{mixer}in_proj.weight").T},
                "convolution": {
                    "kernel": read(f"{mixer}conv1d.weight")[:, 0].T,
                    "bias": read(f"{mixer}conv1d.bias"),
                },
                "step_bias": read(f"{mixer}dt_bias"),
                "log_decay": read(f"{mixer}A_log"),
                "skip": read(f"{mixer}D"),
                "scale": read(f"{mixer}norm.weight"),
                "output": {"kernel": read(f"{mixer}out_proj.weight").T},
            },
        }
    return {"params": tree}


def largest_difference(found, expected):
    """Relative to the largest number of each leaf."""

    def of(a, b):
        return np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(b).max()

    return max(jax.tree.leaves(jax.tree.map(of, found, expected)))


def test_logits_and_gradients(theirs, ours, capsys):
    named = dict(theirs.named_parameters())
    params = renamed(lambda name: named[name].detach().numpy())
    logits = theirs(torch.tensor(tokens_BT)).logits
    pull_BTV = np.random.default_rng(1).normal(size=logits.shape).astype(np.float32)
    logits.backward(torch.tensor(pull_BTV))
    found_BTV, pull = jax.vjp(jax.jit(lambda params: ours.apply(params, tokens_BT)[0]), params)
    of_logits = largest_difference(found_BTV, logits.detach().numpy())
    expected = renamed(lambda name: named[name].grad.numpy())
    of_gradients = largest_difference(pull(pull_BTV)[0], expected)
    with capsys.disabled():
        print(f"\nMamba-2: differences of logits {of_logits:.1e}, of gradients {of_gradients:.1e}")
    assert of_logits <= LIMIT
    assert of_gradients <= LIMIT


def test_the_state_gives_what_theirs_gives(theirs, ours):
    """A prompt at once, then token by token."""
    named = dict(theirs.named_parameters())
    params = renamed(lambda name: named[name].detach().numpy())
    carry, memory = ours.initial_carry(2, LENGTH), None
    apply = jax.jit(ours.apply)
    for part in (slice(0, PROMPT), *(slice(time, time + 1) for time in range(PROMPT, PROMPT + 4))):
        with torch.no_grad():
            output = theirs(torch.tensor(tokens_BT[:, part]), cache=memory, use_cache=True)
        memory = output.cache
        logits_BTV, carry = apply(params, tokens_BT[:, part], carry)
        assert largest_difference(logits_BTV, output.logits.numpy()) <= LIMIT
