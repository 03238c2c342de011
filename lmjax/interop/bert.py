"""BERT (Devlin et al. 2019) as transformers' BertForMaskedLM, or ForPreTraining, keeps it."""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from lmjax.interop.conventions import Convention, Rule, dense, norm, one
from lmjax.interop.settings import Settings, check_fixed, is_size
from lmjax.runs.fields import is_number

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
FIXED = {"scan_layers": False}
PRETRAINING = "BertForPreTraining"  # with the head that tells whether the second text follows


def to_model(theirs: Settings) -> dict[str, Any]:
    """The fields of `config.model`."""
    theirs.require("hidden_act", "gelu", "gelu")
    theirs.require("position_embedding_type", "absolute", "absolute")
    theirs.require("is_decoder", False, False)
    theirs.require("add_cross_attention", False, False)
    theirs.require("tie_word_embeddings", True, True)
    return {
        **FIXED,
        "layers": theirs.take("num_hidden_layers", is_size),
        "width": theirs.take("hidden_size", is_size),
        "heads": theirs.take("num_attention_heads", is_size),
        "feed_forward_width": theirs.take("intermediate_size", is_size),
        "context_length": theirs.take("max_position_embeddings", is_size, 512),
        "token_types": theirs.take("type_vocab_size", is_size, 2),
        "norm_epsilon": theirs.take("layer_norm_eps", is_number, 1e-12),
        "dropout": theirs.equal(DROPOUTS, is_number, 0.1),
        "next_sentence": PRETRAINING in theirs.take("architectures", lambda value: True, []),
    }


def to_settings(model: ConfigDict, vocabulary_size: int) -> dict[str, Any]:
    """Their config.json; raises UserError for a field that BERT has otherwise."""
    check_fixed(model, FIXED, "BERT")
    return {
        **({"architectures": [PRETRAINING]} if model.next_sentence else {}),
        "vocab_size": vocabulary_size,
        "num_hidden_layers": model.layers,
        "hidden_size": model.width,
        "num_attention_heads": model.heads,
        "intermediate_size": model.feed_forward_width or 4 * model.width,
        "max_position_embeddings": model.context_length,
        "type_vocab_size": model.token_types,
        "layer_norm_eps": model.norm_epsilon,
        "hidden_act": "gelu",
        **dict.fromkeys(DROPOUTS, model.dropout),
    }


def rules(model: ConfigDict) -> Iterator[Rule]:
    """Its output weights are the table of its tokens."""
    embeddings, head = "bert.embeddings", "cls.predictions"
    for ours, theirs, same in (
        ("embedding", "word", (f"{head}.decoder.weight",)),
        ("position_embedding", "position", ()),
        ("token_type_embedding", "token_type", ()),
    ):
        table = f"{embeddings}.{theirs}_embeddings.weight"
        yield one(f"encoder/{ours}/embedding", table, same=same)
    yield from norm("encoder/embedding_norm", f"{embeddings}.LayerNorm")
    block, theirs = "encoder/blocks_{layer}", "bert.encoder.layer.{layer}"
    attention = f"{theirs}.attention"
    qkv = (f"{attention}.self.{name}" for name in ("query", "key", "value"))
    yield from dense(f"{block}/mixer/qkv", *qkv)
    yield from dense(f"{block}/mixer/output", f"{attention}.output.dense")
    yield from norm(f"{block}/mixer_norm", f"{attention}.output.LayerNorm")
    yield from dense(f"{block}/feed_forward/up", f"{theirs}.intermediate.dense")
    yield from dense(f"{block}/feed_forward/down", f"{theirs}.output.dense")
    yield from norm(f"{block}/feed_forward_norm", f"{theirs}.output.LayerNorm")
    yield from dense("head_dense", f"{head}.transform.dense")
    yield from norm("head_norm", f"{head}.transform.LayerNorm")
    yield one("output_bias", f"{head}.bias", same=(f"{head}.decoder.bias",))
    if model.next_sentence:
        yield from dense("pooler/dense", "bert.pooler.dense")
        yield from dense("next_head", "cls.seq_relationship")


BERT = Convention(
    model_type="bert",
    architectures=("BertForMaskedLM", PRETRAINING, "BertModel"),
    family="bert",
    prefix="bert.",
    to_model=to_model,
    to_settings=to_settings,
    rules=rules,
    counts=lambda model: {"layer": model.layers},
    buffers=r"bert\.embeddings\.position_ids",
    left_out=r"(bert\.pooler|cls\.seq_relationship)\..*",  # of the next sentence
    made_new=(  # a file of the encoder alone has no head
        "head_dense/kernel",
        "head_dense/bias",
        "head_norm/scale",
        "head_norm/bias",
        "output_bias",
    ),
    older={".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"},
)
