"""GPT-2 (Radford et al. 2019) as transformers' GPT2LMHeadModel keeps it."""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError
from lmjax.interop.conventions import Convention, Rule, dense, norm, one
from lmjax.interop.settings import Settings, check_fixed, is_size, their_name
from lmjax.runs.fields import is_number, is_positive_number

ACTIVATIONS = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu": "gelu_exact"}
DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
TIED = {True: True, False: False}
# What is the same in every GPT-2, whatever else our Transformer can be.
FIXED = {"norm": "layer_norm", "position": "learned", "pattern": ("attention",), "bias": True}
FIXED |= {"scan_layers": False, "feed_forwards": (), "norm_order": "pre", "short_convolution": 0}
FIXED |= {"scaled_embedding": False, "embedding_norm": False}
FIXED |= {"logits_cap": 0.0, "output": "softmax"}

WITHOUT_EFFECT = ("chunk", "form")  # options of attention that change no result


def to_model(theirs: Settings) -> dict[str, Any]:
    """The fields of `config.model`."""
    theirs.require("scale_attn_weights", True, True)
    theirs.require("scale_attn_by_inverse_layer_idx", False, False)
    theirs.require("add_cross_attention", False, False)
    theirs.take("reorder_and_upcast_attn", lambda value: True, None)  # a matter of rounding
    return {
        **FIXED,
        "layers": theirs.take("n_layer", is_size),
        "width": theirs.take("n_embd", is_size),
        "heads": theirs.take("n_head", is_size),
        "feed_forward_width": theirs.take("n_inner", is_size, 0),
        "context_length": theirs.take("n_positions", is_size, 1024),
        "norm_epsilon": theirs.take("layer_norm_epsilon", is_positive_number, 1e-5),
        "feed_forward": theirs.choose("activation_function", ACTIVATIONS, "gelu_new"),
        "dropout": theirs.equal(DROPOUTS, is_number, 0.1),
        "tied": theirs.choose("tie_word_embeddings", TIED, True),
    }


def to_settings(model: ConfigDict, vocabulary_size: int) -> dict[str, Any]:
    """Their config.json; raises UserError for a field that GPT-2 has otherwise."""
    check_fixed(model, FIXED, "GPT-2")
    for option, value in model.mixers.get("attention", {}).items():
        if option not in WITHOUT_EFFECT:
            raise UserError(
                f"attention's option {option} is {value!r}, and a GPT-2 has no such option; it "
                "can't be exported as one"
            )
    return {
        "vocab_size": vocabulary_size,
        "n_layer": model.layers,
        "n_embd": model.width,
        "n_head": model.heads,
        "n_inner": model.feed_forward_width or None,
        "n_positions": model.context_length,
        "activation_function": their_name(ACTIVATIONS, model, "feed_forward", "GPT-2"),
        "layer_norm_epsilon": model.norm_epsilon,
        "tie_word_embeddings": model.tied,
        **dict.fromkeys(DROPOUTS, model.dropout),
    }


def rules(model: ConfigDict) -> Iterator[Rule]:
    """Its dense layers are (in, out) like ours."""
    block, theirs = "blocks_{layer}", "transformer.h.{layer}"
    head = "lm_head.weight"
    yield one("embedding/embedding", "transformer.wte.weight", same=(head,) if model.tied else ())
    yield one("position_embedding/embedding", "transformer.wpe.weight")
    yield from norm(f"{block}/mixer_norm", f"{theirs}.ln_1")
    yield from dense(f"{block}/mixer/qkv", f"{theirs}.attn.c_attn", transposed=False)
    yield from dense(f"{block}/mixer/output", f"{theirs}.attn.c_proj", transposed=False)
    yield from norm(f"{block}/feed_forward_norm", f"{theirs}.ln_2")
    yield from dense(f"{block}/feed_forward/up", f"{theirs}.mlp.c_fc", transposed=False)
    yield from dense(f"{block}/feed_forward/down", f"{theirs}.mlp.c_proj", transposed=False)
    yield from norm("final_norm", "transformer.ln_f")
    if not model.tied:
        yield one("head/kernel", head, transposed=True)


GPT2 = Convention(
    model_type="gpt2",
    architectures=("GPT2LMHeadModel", "GPT2Model"),
    family="transformer",
    prefix="transformer.",
    to_model=to_model,
    to_settings=to_settings,
    rules=rules,
    counts=lambda model: {"layer": model.layers},
    buffers=r"transformer\.h\.\d+\.attn\.(bias|masked_bias)",  # causal masks
)
