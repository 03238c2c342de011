"""Gemma 2 and 3 of transformers: capped scores and logits, windows in turns, norms around all."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.config import model_config
from lmjax.models.registry import build_model
from tests.parity.llama_names import LAYER, WHOLE, attention, move_at_random, to_ours
from tests.parity.whole_logits import check_logits

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH, HEADS, GROUPS, HEAD, INNER, VOCABULARY, LENGTH = 3, 24, 6, 2, 8, 20, 31, 13
WINDOW = 5
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))
LAYER_NAMES = LAYER | {
    "post_attention_layernorm.weight": "mixer_norm_after/scale",
    "pre_feedforward_layernorm.weight": "feed_forward_norm/scale",
    "post_feedforward_layernorm.weight": "feed_forward_norm_after/scale",
}
WHOLE_NAMES = {name: ours for name, ours in WHOLE.items() if name != "lm_head.weight"}
SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=WIDTH,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    num_key_value_heads=GROUPS,
    head_dim=HEAD,
    query_pre_attn_scalar=HEAD,
    intermediate_size=INNER,
    initializer_range=0.3,
    sliding_window=WINDOW,
    layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    attn_implementation="eager",
)


def make_theirs(kind, **config):
    torch.manual_seed(0)
    suffix = "TextConfig" if kind == "Gemma3" else "Config"
    config = getattr(transformers, f"{kind}{suffix}")(**SIZES | config)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    move_at_random(model, torch)
    return model


def make_ours(window, whole, **changes):
    config = model_config("transformer")
    config.update(
        layers=LAYERS,
        width=WIDTH,
        heads=HEADS,
        feed_forward_width=INNER,
        context_length=LENGTH,
        norm="rms_norm",
        norm_epsilon=1e-6,
        norm_order="both",
        feed_forward="geglu",
        position="rotary",
        scaled_embedding=True,
        pattern=("sliding_window", "attention"),
    )
    config.update(changes)
    both = dict(head_width=HEAD, key_value_heads=GROUPS)
    config.mixers.sliding_window = both | dict(window=WINDOW) | window
    config.mixers.attention = both | whole
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def params_of(theirs):
    """Their scales of norms begin at zero and are added to one."""
    params = to_ours(theirs, LAYERS, attention, LAYER_NAMES, WHOLE_NAMES)

    def scale(path, leaf):
        return leaf + 1 if path[-1].key == "scale" else leaf

    return jax.tree_util.tree_map_with_path(scale, params)


def test_gemma2(capsys):
    theirs = make_theirs("Gemma2", attn_logit_softcapping=2.0, final_logit_softcapping=3.0)
    capped = dict(score_cap=2.0)
    ours = make_ours(capped, capped, logits_cap=3.0)
    with capsys.disabled():
        check_logits("\nGemma 2", theirs, ours, params_of(theirs), tokens_BT)


def test_gemma3(capsys):
    """Norms of queries and keys, another base and a scaling in layers without a window."""
    rope = {
        "sliding_attention": dict(rope_type="default", rope_theta=50.0),
        "full_attention": dict(rope_type="linear", rope_theta=1000.0, factor=8.0),
    }
    theirs = make_theirs("Gemma3", rope_parameters=rope)
    normed = dict(query_key_norm=True)
    whole = dict(rotary_base=1000.0, rotary_scaling="linear", rotary_factor=8.0)
    ours = make_ours(normed | dict(rotary_base=50.0), normed | whole)
    with capsys.disabled():
        check_logits("\nGemma 3", theirs, ours, params_of(theirs), tokens_BT)
