"""T5 (Raffel et al. 2020), 1.0 and 1.1, as transformers' T5ForConditionalGeneration keeps it."""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from lmjax.interop.conventions import Convention, Rule, dense, norm, one
from lmjax.interop.settings import Settings, check_fixed, is_size, their_name
from lmjax.model_defaults import ENCODER_DECODERS
from lmjax.runs.fields import is_number, is_true_or_false

ACTIVATIONS = {"relu": "relu", "gated-gelu": "gated_gelu"}
# What is the same in every T5, whatever else our encoder-decoder can be.
FIXED = {"shared_embedding": True, "logits_bias": False}
FIXED |= {
    name: value
    for name, value in ENCODER_DECODERS["t5"].items()
    if name not in ("norm_epsilon", "scaled_logits")
}


def to_model(theirs: Settings) -> dict[str, Any]:
    """The fields of `config.model`; what is tied is scaled (1.0), what is not is not (1.1)."""
    theirs.require("is_encoder_decoder", True, True)
    theirs.require("is_decoder", False, False)
    tied = theirs.take("tie_word_embeddings", is_true_or_false, True)
    tied = theirs.take("scale_decoder_outputs", is_true_or_false, tied)
    layers = theirs.take("num_layers", is_size)
    for derived in ("dense_act_fn", "is_gated_act"):  # follow from feed_forward_proj
        theirs.take(derived, lambda value: True, None)
    return {
        **FIXED,
        "layers": layers,
        "decoder_layers": theirs.take("num_decoder_layers", is_size, layers),
        "width": theirs.take("d_model", is_size),
        "heads": theirs.take("num_heads", is_size),
        "head_width": theirs.take("d_kv", is_size),
        "feed_forward_width": theirs.take("d_ff", is_size),
        "context_length": theirs.take("n_positions", is_size, 512),
        "norm_epsilon": theirs.take("layer_norm_epsilon", is_number, 1e-6),
        "position_buckets": theirs.take("relative_attention_num_buckets", is_size, 32),
        "position_farthest": theirs.take("relative_attention_max_distance", is_size, 128),
        "feed_forward": theirs.choose("feed_forward_proj", ACTIVATIONS, "relu"),
        "dropout": theirs.take("dropout_rate", is_number, 0.1),
        "tied": tied,
        "scaled_logits": tied,
    }


def to_settings(model: ConfigDict, vocabulary_size: int) -> dict[str, Any]:
    """Their config.json; raises UserError for a field that T5 has otherwise."""
    check_fixed(model, FIXED, "T5")
    check_fixed(model, {"scaled_logits": model.tied}, f"T5 with model.tied={model.tied}")
    return {
        "vocab_size": vocabulary_size,
        "num_layers": model.layers,
        "num_decoder_layers": model.decoder_layers or model.layers,
        "d_model": model.width,
        "num_heads": model.heads,
        "d_kv": model.head_width or model.width // model.heads,
        "d_ff": model.feed_forward_width or 4 * model.width,
        "n_positions": model.context_length,
        "layer_norm_epsilon": model.norm_epsilon,
        "relative_attention_num_buckets": model.position_buckets,
        "relative_attention_max_distance": model.position_farthest,
        "feed_forward_proj": their_name(ACTIVATIONS, model, "feed_forward", "T5"),
        "dropout_rate": model.dropout,
        "tie_word_embeddings": model.tied,
        "is_encoder_decoder": True,
    }


def rules(model: ConfigDict) -> Iterator[Rule]:
    """Each layer of theirs is two or three, numbered, with a norm each."""
    head = "lm_head.weight"
    repeated = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    yield one("embedding/embedding", "shared.weight", same=(*repeated, head)[: 2 + model.tied])
    for side, layer, last in (("encoder", "{layer}", 1), ("decoder", "{decoder_layer}", 2)):
        ours, theirs = f"{side}/blocks_{layer}", f"{side}.block.{layer}.layer"
        bias = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        yield one(f"{side}/position_bias/embedding", bias)
        yield from norm(f"{ours}/mixer_norm", f"{theirs}.0.layer_norm", bias=False)
        qkv = (f"{theirs}.0.SelfAttention.{name}" for name in "qkv")
        yield from dense(f"{ours}/mixer/qkv", *qkv, bias=False)
        yield from dense(f"{ours}/mixer/output", f"{theirs}.0.SelfAttention.o", bias=False)
        if side == "decoder":
            part, source = f"{ours}/source_attention", f"{theirs}.1.EncDecAttention"
            yield from norm(f"{part}_norm", f"{theirs}.1.layer_norm", bias=False)
            yield from dense(f"{part}/query", f"{source}.q", bias=False)
            yield from dense(f"{part}/key_value", f"{source}.k", f"{source}.v", bias=False)
            yield from dense(f"{part}/output", f"{source}.o", bias=False)
        part, inner = f"{ours}/feed_forward", f"{theirs}.{last}.DenseReluDense"
        yield from norm(f"{part}_norm", f"{theirs}.{last}.layer_norm", bias=False)
        if model.feed_forward == "gated_gelu":
            yield from dense(f"{part}/gate", f"{inner}.wi_0", bias=False)
            yield from dense(f"{part}/up", f"{inner}.wi_1", bias=False)
        else:
            yield from dense(f"{part}/up", f"{inner}.wi", bias=False)
        yield from dense(f"{part}/down", f"{inner}.wo", bias=False)
        yield from norm(f"{side}_norm", f"{side}.final_layer_norm", bias=False)
    if not model.tied:
        yield one("head/kernel", head, transposed=True)


T5 = Convention(
    model_type="t5",
    architectures=("T5ForConditionalGeneration", "T5WithLMHeadModel"),
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
    # Some files have it, and nothing reads it.
    left_out=r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
)
