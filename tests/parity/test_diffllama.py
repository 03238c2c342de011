"""Differential attention against transformers' DiffLlama with the same random weights."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.config import model_config
from lmjax.models.contract import initial_carry
from lmjax.models.registry import build_model
from tests.parity.llama_names import move_at_random, to_ours, turned

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH, HEADS, KEY_VALUE_HEADS, INNER, VOCABULARY, LENGTH = 3, 24, 12, 4, 20, 31, 11
HEAD = 6
LIMIT = 1e-5
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    config = transformers.DiffLlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_VALUE_HEADS,
        head_dim=HEAD,
        initializer_range=0.3,
        lambda_std_dev=0.5,
        attn_implementation="eager",
    )
    model = transformers.DiffLlamaForCausalLM(config).eval()
    move_at_random(model, torch)
    return model


@pytest.fixture(scope="module")
def ours():
    config = model_config("transformer")
    config.update(layers=LAYERS, width=WIDTH, heads=HEADS, feed_forward_width=INNER, tied=False)
    config.update(norm="rms_norm", position="rotary", feed_forward="swiglu")
    config.update(pattern=("differential_attention",), context_length=LENGTH)
    config.mixers.differential_attention = dict(head_width=HEAD, key_value_heads=KEY_VALUE_HEADS)
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def mixer(weights):
    q, k, v, o = (turned("kernel", weights[f"self_attn.{name}_proj.weight"]) for name in "qkvo")
    return {
        "qkv/kernel": np.concatenate([q, k, v], axis=1),
        "output/kernel": o,
        "head_norm/scale": np.ones(2 * HEAD),  # theirs has none
        **{
            f"lambda_{ours}": np.stack([weights[f"self_attn.lambda_{name}{n}"] for n in (1, 2)])
            for ours, name in (("query", "q"), ("key", "k"))
        },
    }


def test_logits_and_those_of_the_cache(theirs, ours, capsys):
    """The whole row at once, then a part and token by token."""
    params = to_ours(theirs, LAYERS, mixer)
    shapes = nn.meta.unbox(jax.eval_shape(ours.init, jax.random.key(0), tokens_BT))
    jax.tree.map(lambda leaf, like: np.testing.assert_equal(leaf.shape, like.shape), params, shapes)
    with torch.no_grad():
        expected_BTV = theirs(torch.tensor(tokens_BT)).logits.numpy()
    apply, scale = jax.jit(ours.apply), np.abs(expected_BTV).max()
    found_BTV, _ = apply(params, tokens_BT)
    whole = np.abs(found_BTV - expected_BTV).max() / scale
    carry, found = initial_carry(ours, params, 2, LENGTH), []
    for part in (slice(0, 4), *(slice(time, time + 1) for time in range(4, LENGTH))):
        logits_BTV, carry = apply(params, tokens_BT[:, part], carry)
        found.append(logits_BTV)
    cached = np.abs(np.concatenate(found, axis=1) - expected_BTV).max() / scale
    with capsys.disabled():
        print(f"\nDiffLlama: largest relative difference {whole:.0e}, by the cache {cached:.0e}")
    assert max(whole, cached) <= LIMIT
    assert scale > 1
