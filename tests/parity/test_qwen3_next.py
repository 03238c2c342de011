"""Gated DeltaNet between gated attention: transformers' Qwen3-Next with the same random weights."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.config import model_config
from lmjax.models.contract import initial_carry
from lmjax.models.registry import build_model
from tests.parity.llama_names import to_ours, turned

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH, INNER, VOCABULARY, LENGTH = 3, 24, 20, 31, 19
HEADS, VALUE_HEADS, HEAD, VALUE = 2, 6, 5, 7
QUERIES, KEYS, WIDE = 6, 2, 8  # heads of attention and their width
LIMIT = 1e-4
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))


def make_theirs():
    """Each head of queries and keys serves three of values; weights all matter."""
    torch.manual_seed(0)
    config = transformers.Qwen3NextConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
        num_attention_heads=QUERIES,
        num_key_value_heads=KEYS,
        head_dim=WIDE,
        mlp_only_layers=list(range(LAYERS)),
        linear_num_key_heads=HEADS,
        linear_num_value_heads=VALUE_HEADS,
        linear_key_head_dim=HEAD,
        linear_value_head_dim=VALUE,
        linear_conv_kernel_dim=3,
        initializer_range=0.3,
    )
    model = transformers.Qwen3NextForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim != 2:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def make_ours():
    config = model_config("transformer")
    config.update(layers=LAYERS, width=WIDTH, heads=QUERIES, feed_forward_width=INNER, tied=False)
    config.update(norm="rms_norm", norm_epsilon=1e-6, position="rotary", feed_forward="swiglu")
    config.update(pattern=("gated_delta_net", "attention", "gated_delta_net"))
    config.update(context_length=LENGTH)
    config.mixers.attention = dict(
        key_value_heads=KEYS,
        head_width=WIDE,
        query_key_norm=True,
        rotary_share=0.25,
        output_gate=True,
    )
    config.mixers.gated_delta_net = dict(
        heads=HEADS,
        head_width=HEAD,
        value_heads=VALUE_HEADS,
        value_head_width=VALUE,
        convolution_width=3,
        chunk=8,
    )
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def mixer(weights):
    return attention(weights) if "self_attn.q_proj.weight" in weights else delta_net(weights)


def attention(weights):
    """Theirs have each head's query before its gate."""
    weights = {name.removeprefix("self_attn."): value for name, value in weights.items()}
    q, k, v, output = (turned("kernel", weights[f"{name}_proj.weight"]) for name in "qkvo")
    query, gate = (
        part.reshape(WIDTH, -1) for part in np.split(q.reshape(WIDTH, QUERIES, -1), 2, axis=2)
    )
    return {
        "qkv/kernel": np.concatenate([query, k, v], axis=1),
        "gate/kernel": gate,
        "query_norm/scale": weights["q_norm.weight"],
        "key_norm/scale": weights["k_norm.weight"],
        "output/kernel": output,
    }


def delta_net(weights):
    """Theirs stand head by head: q, k, the values and gates that it serves, and their rates."""
    weights = {name.removeprefix("linear_attn."): value for name, value in weights.items()}
    group = VALUE_HEADS // HEADS
    by_head = turned("kernel", weights["in_proj_qkvz.weight"]).reshape(WIDTH, HEADS, -1)
    sizes = np.cumsum([HEAD, HEAD, group * VALUE])
    *qkv, gate = (part.reshape(WIDTH, -1) for part in np.split(by_head, sizes, axis=2))
    rates = turned("kernel", weights["in_proj_ba.weight"]).reshape(WIDTH, HEADS, 2, group)
    return {
        "qkv/kernel": np.concatenate(qkv, axis=1),
        "gate/kernel": gate,
        "beta/kernel": rates[:, :, 0].reshape(WIDTH, -1),
        "step/kernel": rates[:, :, 1].reshape(WIDTH, -1),
        "convolution/kernel": turned("kernel", weights["conv1d.weight"][:, 0]),
        "step_bias": weights["dt_bias"],
        "log_rate": weights["A_log"],
        "norm/scale": weights["norm.weight"],
        "output/kernel": turned("kernel", weights["out_proj.weight"]),
    }


def test_logits_at_once_and_token_by_token(capsys):
    theirs, ours = make_theirs(), make_ours()
    with torch.no_grad():
        expected_BTV = theirs(torch.tensor(tokens_BT), use_cache=False).logits.numpy()
        for name, parameter in theirs.named_parameters():
            if "norm" in name and "linear_attn" not in name:
                parameter.add_(1.0)  # a scale of theirs is one more than its parameter
    params, apply = to_ours(theirs, LAYERS, mixer), jax.jit(ours.apply)
    scale = np.abs(expected_BTV).max()
    whole = np.abs(apply(params, tokens_BT)[0] - expected_BTV).max() / scale
    carry, found = initial_carry(ours, params, 2, LENGTH), []
    for part in (slice(0, 14), *(slice(time, time + 1) for time in range(14, LENGTH))):
        logits_BTV, carry = apply(params, tokens_BT[:, part], carry)
        found.append(logits_BTV)
    carried = np.abs(np.concatenate(found, axis=1) - expected_BTV).max() / scale
    with capsys.disabled():
        print(f"\nQwen3-Next: largest relative difference {whole:.0e}, carried {carried:.0e}")
    assert max(whole, carried) <= LIMIT
    assert scale > 1
