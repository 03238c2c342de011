"""Two recurrent blocks and local attention against transformers' RecurrentGemma, whole logits."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from lmjax.config import model_config
from lmjax.models.registry import build_model
from tests.parity.llama_names import attention, turned
from tests.parity.whole_logits import check_logits

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

# They round the square root of the width to bfloat16.
WIDTH, INNER, HEADS, GROUPS, WINDOW, VOCABULARY, LENGTH = 36, 18, 9, 3, 5, 31, 17
tokens_BT = np.random.default_rng(0).integers(1, VOCABULARY, (2, LENGTH))
LAYER = {
    "temporal_pre_norm": "mixer_norm",
    "channel_pre_norm": "feed_forward_norm",
    "mlp_block.gate_proj": "feed_forward/gate",
    "mlp_block.up_proj": "feed_forward/up",
    "mlp_block.down_proj": "feed_forward/down",
    "temporal_block.linear_y": "mixer/gate",
    "temporal_block.linear_x": "mixer/input",
    "temporal_block.linear_out": "mixer/output",
}


def their_model():
    """Their blocks must be as wide as the model. All is moved from where it begins."""
    torch.manual_seed(0)
    model = transformers.RecurrentGemmaForCausalLM(
        transformers.RecurrentGemmaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=2 * INNER,
            num_hidden_layers=3,
            num_attention_heads=HEADS,
            num_key_value_heads=GROUPS,
            attention_window_size=WINDOW,
            attention_bias=True,
            logits_soft_cap=5.0,
            attn_implementation="eager",
        )
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def renamed(theirs):
    """Our parameters. Norms' scales lie around 0 in their model."""
    weights = {name: value.numpy() for name, value in theirs.state_dict().items()}
    zeros_D = np.zeros(WIDTH, np.float32)
    found = {
        "embedding/embedding": weights["model.embed_tokens.weight"],
        "final_norm/scale": 1 + weights["model.final_norm.weight"],
        "final_norm/bias": zeros_D,
    }
    for layer in range(3):
        begin, ours = f"model.layers.{layer}.", f"blocks_{layer}"
        own = {name.removeprefix(begin): weights[name] for name in weights if begin in name}
        for theirs_name, name in LAYER.items():
            if f"{theirs_name}.weight" not in own:
                continue
            weight = own[f"{theirs_name}.weight"]
            norm = name.endswith("norm")
            part = "scale" if norm else "kernel"
            found[f"{ours}/{name}/{part}"] = 1 + weight if norm else turned(part, weight)
            found[f"{ours}/{name}/bias"] = own.get(f"{theirs_name}.bias", zeros_D)
        if layer == 2:
            mixer = attention(
                {name.replace("temporal_block", "self_attn"): own[name] for name in own}
            )
        else:
            unit = "temporal_block.rg_lru"
            both = [f"{unit}.recurrent_gate", f"{unit}.input_gate"]
            mixer = {
                "convolution/kernel": own["temporal_block.conv_1d.weight"][:, 0].T,
                "convolution/bias": own["temporal_block.conv_1d.bias"],
                "gate_kernel": np.concatenate([own[f"{gate}_weight"] for gate in both], axis=-1),
                "gate_bias": np.concatenate([own[f"{gate}_bias"] for gate in both], axis=-1),
                "rate": own[f"{unit}.recurrent_param"],
            }
        found |= {f"{ours}/mixer/{name}": value for name, value in mixer.items()}
    return {"params": unflatten_dict(found, sep="/")}


def test_logits_are_those_of_recurrent_gemma():
    """Grouped heads, a window shorter than the row, and half of each head turned by rotary."""
    theirs = their_model()
    config = model_config("transformer")
    config.update(
        layers=3,
        width=WIDTH,
        heads=HEADS,
        feed_forward_width=INNER,
        norm="rms_norm",
        norm_epsilon=1e-6,
        feed_forward="geglu",
        position="rotary",
        pattern=("rg_lru", "rg_lru", "sliding_window"),
        bias=True,
        scaled_embedding=True,
        logits_cap=5.0,
    )
    local = dict(window=WINDOW, key_value_heads=GROUPS, rotary_share=0.5)
    config.mixers = {"sliding_window": local}
    ours = build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))
    uncached = partial(theirs, use_cache=False)
    check_logits("RecurrentGemma", uncached, ours, renamed(theirs), tokens_BT)
