"""Attention in its kinds against transformers' LLaMA, Mistral, GPT-OSS and Bloom, whole logits."""

from types import SimpleNamespace

import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from lmjax.config import model_config
from lmjax.models.registry import build_model
from tests.parity.llama_names import attention, move_at_random, to_ours
from tests.parity.whole_logits import check_logits

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH, HEADS, GROUPS, INNER, VOCABULARY, LENGTH = 2, 24, 6, 2, 20, 31, 13
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))
SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=WIDTH,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    num_key_value_heads=GROUPS,
    intermediate_size=INNER,
    initializer_range=0.3,
    attn_implementation="eager",
)
# Ours, and theirs of the same; lengths are such that wavelengths lie on both sides of them.
SCALINGS = {
    "none": (dict(), dict(rope_type="default")),
    "linear": (dict(rotary_factor=4.0), dict(rope_type="linear", factor=4.0)),
    "yarn": (
        dict(rotary_factor=4.0, rotary_trained_length=256),
        dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=256),
    ),
    "llama3": (
        dict(rotary_factor=8.0, rotary_trained_length=24),
        dict(
            rope_type="llama3",
            factor=8.0,
            original_max_position_embeddings=24,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
        ),
    ),
}


def make_ours(mixers, **changes):
    fields = dict(
        layers=LAYERS,
        width=WIDTH,
        heads=HEADS,
        feed_forward_width=INNER,
        context_length=LENGTH,
        norm="rms_norm",
        feed_forward="swiglu",
        position="rotary",
        pattern=tuple(mixers),
        tied=False,
    )
    config = model_config("transformer")
    config.update(fields | changes)
    config.mixers.update(mixers)
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def make_theirs(kind, **config):
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SIZES | config)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    move_at_random(model, torch)
    return model


@pytest.mark.parametrize("scaling", SCALINGS)
def test_llama(scaling, capsys):
    """Grouped heads and rotary positions, stretched."""
    options, rope = SCALINGS[scaling]
    theirs = make_theirs(
        "Llama",
        rms_norm_eps=1e-5,
        rope_parameters=rope | dict(rope_theta=100.0),
        max_position_embeddings=1024,
    )
    options = dict(key_value_heads=GROUPS, rotary_base=100.0, rotary_scaling=scaling) | options
    ours = make_ours({"attention": options})
    with capsys.disabled():
        check_logits(
            f"\nLLaMA, {scaling}", theirs, ours, to_ours(theirs, LAYERS, attention), tokens_BT
        )


def test_mistral(capsys):
    """A window that is shorter than the text."""
    rope = dict(rope_type="default", rope_theta=10_000.0)
    theirs = make_theirs("Mistral", rms_norm_eps=1e-6, sliding_window=5, rope_parameters=rope)
    options = dict(window=5, key_value_heads=GROUPS)
    ours = make_ours({"sliding_window": options}, norm_epsilon=1e-6)
    with capsys.disabled():
        check_logits("\nMistral", theirs, ours, to_ours(theirs, LAYERS, attention), tokens_BT)


def test_gpt_oss(capsys):
    """Sinks in layers with and without a window; its experts are left out of either."""
    theirs = make_theirs(
        "GptOss",
        head_dim=6,
        sliding_window=4,
        num_local_experts=1,
        num_experts_per_tok=1,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters=dict(rope_type="default", rope_theta=150_000.0),
    )
    with torch.no_grad():
        for layer in theirs.model.layers:
            layer.self_attn.sinks.normal_(0, 2.0)
            layer.mlp.forward = lambda x: (torch.zeros_like(x), None)
    options = dict(
        head_width=6, key_value_heads=GROUPS, sinks=True, bias=True, rotary_base=150_000.0
    )
    mixers = {"sliding_window": options | dict(window=4), "attention": options}
    ours = make_ours(mixers, feed_forward="none")
    names = {"input_layernorm.weight": "mixer_norm/scale"}
    params = to_ours(theirs, LAYERS, attention, names)
    with capsys.disabled():
        check_logits("\nGPT-OSS", theirs, ours, params, tokens_BT)


def to_bloom(theirs, heads):
    weights = {name: value.detach() for name, value in theirs.state_dict().items()}
    table = weights["transformer.word_embeddings.weight"]
    found = {
        "embedding/embedding": table,
        "first_norm/scale": weights["transformer.word_embeddings_layernorm.weight"],
        "first_norm/bias": weights["transformer.word_embeddings_layernorm.bias"],
        "head/kernel": table.T,
        "final_norm/scale": weights["transformer.ln_f.weight"],
        "final_norm/bias": weights["transformer.ln_f.bias"],
    }
    for layer in range(LAYERS):
        ours, begin = f"blocks_{layer}", f"transformer.h.{layer}"
        for name, part in (
            ("mixer_norm", "input_layernorm"),
            ("feed_forward_norm", "post_attention_layernorm"),
        ):
            found[f"{ours}/{name}/scale"] = weights[f"{begin}.{part}.weight"]
            found[f"{ours}/{name}/bias"] = weights[f"{begin}.{part}.bias"]
        for name, part in (
            ("mixer/qkv", "self_attention.query_key_value"),
            ("mixer/output", "self_attention.dense"),
            ("feed_forward/up", "mlp.dense_h_to_4h"),
            ("feed_forward/down", "mlp.dense_4h_to_h"),
        ):
            kernel, bias = weights[f"{begin}.{part}.weight"].T, weights[f"{begin}.{part}.bias"]
            if name == "mixer/qkv":  # theirs are together by head

                def by_kind(x):
                    return x.unflatten(-1, (heads, 3, -1)).transpose(-3, -2).flatten(-3)

                kernel, bias = by_kind(kernel), by_kind(bias)
            found[f"{ours}/{name}/kernel"], found[f"{ours}/{name}/bias"] = kernel, bias
    return {"params": unflatten_dict({n: v.numpy() for n, v in found.items()}, sep="/")}


@pytest.mark.parametrize("heads", [4, 6])
def test_bloom(heads, capsys):
    """ALiBi, also for a number of heads that is no power of two; and a norm of embeddings."""
    torch.manual_seed(0)
    config = transformers.BloomConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        n_layer=LAYERS,
        n_head=heads,
        initializer_range=0.3,
        attn_implementation="eager",
    )
    theirs = transformers.BloomForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "ln_" in name or "layernorm" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
    ours = make_ours(
        {"attention": {}},
        heads=heads,
        norm="layer_norm",
        feed_forward="gelu",
        feed_forward_width=4 * WIDTH,
        position="alibi",
        bias=True,
        embedding_norm=True,
    )
    with capsys.disabled():
        check_logits(f"\nBloom, {heads} heads", theirs, ours, to_bloom(theirs, heads), tokens_BT)
