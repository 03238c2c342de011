"""Gated DeltaNet against the linear layers of transformers' Qwen3-Next, same random weights."""

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

LAYERS, WIDTH, INNER, VOCABULARY, LENGTH = 2, 24, 20, 31, 19
HEADS, VALUE_HEADS, HEAD, VALUE = 2, 6, 5, 7
LIMIT = 1e-5
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))


def make_theirs():
    """Each head of queries and keys serves three of values; weights all matter."""
    torch.manual_seed(0)
    config = transformers.Qwen3NextConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        layer_types=["linear_attention"] * LAYERS,
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
        for name, parameter in model.named_parameters():
            if parameter.ndim != 2:
                parameter.add_(0.2 * torch.randn_like(parameter))
            if "norm" in name and "linear_attn" not in name:
                assert abs(parameter.mean()) < 0.2  # their scale is one more than the parameter
    return model


def make_ours():
    config = model_config("transformer")
    config.update(layers=LAYERS, width=WIDTH, heads=HEADS, feed_forward_width=INNER, tied=False)
    config.update(norm="rms_norm", norm_epsilon=1e-6, position="none", feed_forward="swiglu")
    config.update(pattern=("gated_delta_net",))
    config.mixers.gated_delta_net = dict(
        head_width=HEAD,
        value_heads=VALUE_HEADS,
        value_head_width=VALUE,
        convolution_width=3,
        chunk=8,
    )
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def mixer(weights):
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
                parameter.add_(1.0)
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
