"""Marian's encoder-decoders (Junczys-Dowmunt et al. 2018) as transformers' MarianMTModel."""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from lmjax.interop.conventions import Convention, Rule, dense, norm, one
from lmjax.interop.settings import Settings, check_fixed, is_size, their_name
from lmjax.model_defaults import ENCODER_DECODERS
from lmjax.nn.norms import EPSILON
from lmjax.runs.fields import is_number, is_true_or_false

ACTIVATIONS = {"swish": "swish", "silu": "swish", "relu": "relu", "gelu_new": "gelu"}
ACTIVATIONS |= {"gelu": "gelu_exact"}
# What is the same in each of them, whatever else our encoder-decoder can be.
FIXED = ENCODER_DECODERS["vaswani"] | {
    "norm": "layer_norm",
    "norm_epsilon": EPSILON,
    "position": "sinusoidal",
    "scaled_scores": True,
    "bias": True,
    "head_width": 0,
    "scaled_logits": False,
    "logits_bias": True,
}
HEADS = ("encoder_attention_heads", "decoder_attention_heads")
WIDTHS = ("encoder_ffn_dim", "decoder_ffn_dim")


def to_model(theirs: Settings) -> dict[str, Any]:
    """The fields of `config.model`."""
    theirs.require("is_encoder_decoder", True, True)
    theirs.require("is_decoder", False, False)
    return {
        **FIXED,
        "layers": theirs.take("encoder_layers", is_size),
        "decoder_layers": theirs.take("decoder_layers", is_size),
        "width": theirs.take("d_model", is_size),
        "heads": theirs.equal(HEADS, is_size, 16),
        "feed_forward_width": theirs.equal(WIDTHS, is_size, 4096),
        "context_length": theirs.take("max_position_embeddings", is_size, 1024),
        "feed_forward": theirs.choose("activation_function", ACTIVATIONS, "gelu"),
        "dropout": theirs.take("dropout", is_number, 0.1),
        "scaled_embedding": theirs.take("scale_embedding", is_true_or_false, False),
        "shared_embedding": theirs.take("share_encoder_decoder_embeddings", is_true_or_false, True),
        "tied": theirs.take("tie_word_embeddings", is_true_or_false, True),
    }


def to_settings(model: ConfigDict, vocabulary_size: int) -> dict[str, Any]:
    """Their config.json; raises UserError for a field that they have otherwise."""
    check_fixed(model, FIXED, "Marian model")
    return {
        "vocab_size": vocabulary_size,
        "encoder_layers": model.layers,
        "decoder_layers": model.decoder_layers or model.layers,
        "d_model": model.width,
        **dict.fromkeys(HEADS, model.heads),
        **dict.fromkeys(WIDTHS, model.feed_forward_width or 4 * model.width),
        "max_position_embeddings": model.context_length,
        "activation_function": their_name(ACTIVATIONS, model, "feed_forward", "Marian model"),
        **dict.fromkeys(("dropout", "attention_dropout"), model.dropout),
        "scale_embedding": model.scaled_embedding,
        "share_encoder_decoder_embeddings": model.shared_embedding,
        "tie_word_embeddings": model.tied,
        "is_encoder_decoder": True,
    }


def rules(model: ConfigDict) -> Iterator[Rule]:
    """Their tables are one, `shared`, or one for each side; positions are computed."""
    head = ("lm_head.weight",)
    tables = tuple(f"model.{side}.embed_tokens.weight" for side in ("encoder", "decoder"))
    if model.shared_embedding:
        same = tables + head * model.tied
        yield one("embedding/embedding", "model.shared.weight", same=same)
    else:
        yield one("source_embedding/embedding", tables[0])
        yield one("embedding/embedding", tables[1], same=head * model.tied)
    for side, layer in (("encoder", "{layer}"), ("decoder", "{decoder_layer}")):
        ours, theirs = f"{side}/blocks_{layer}", f"model.{side}.layers.{layer}"
        qkv = (f"{theirs}.self_attn.{name}_proj" for name in "qkv")
        yield from dense(f"{ours}/mixer/qkv", *qkv)
        yield from dense(f"{ours}/mixer/output", f"{theirs}.self_attn.out_proj")
        yield from norm(f"{ours}/mixer_norm", f"{theirs}.self_attn_layer_norm")
        if side == "decoder":
            part, source = f"{ours}/source_attention", f"{theirs}.encoder_attn"
            yield from dense(f"{part}/query", f"{source}.q_proj")
            yield from dense(f"{part}/key_value", f"{source}.k_proj", f"{source}.v_proj")
            yield from dense(f"{part}/output", f"{source}.out_proj")
            yield from norm(f"{part}_norm", f"{source}_layer_norm")
        yield from dense(f"{ours}/feed_forward/up", f"{theirs}.fc1")
        yield from dense(f"{ours}/feed_forward/down", f"{theirs}.fc2")
        yield from norm(f"{ours}/feed_forward_norm", f"{theirs}.final_layer_norm")
    yield one("logits_bias", "final_logits_bias", as_row=True)
    if not model.tied:
        yield one("head/kernel", *head, transposed=True)


MARIAN = Convention(
    model_type="marian",
    architectures=("MarianMTModel",),
    family="encoder_decoder",
    prefix="",
    to_model=to_model,
    to_settings=to_settings,
    rules=rules,
    counts=lambda model: {
        "layer": model.layers,
        "decoder_layer": model.decoder_layers or model.layers,
    },
    ends_sources=True,
    buffers=r"model\.(encoder|decoder)\.embed_positions\.weight",
)
