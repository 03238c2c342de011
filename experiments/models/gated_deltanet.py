"""Gated DeltaNet: layers of the gated delta rule, alone or with windows, Mamba-2 or attention.

Claim     Yang, Kautz and Hatamizadeh (2024), tables 3 to 5: 0.4 B parameters after 15 B tokens and
          1.3 B after 100 B of FineWeb-Edu, with a vocabulary of 32,000:
          1.3b    21 layers of 2,048, 6 heads of 256, values of 512;
          0.4b    21 layers of 1,024, 3 heads of 256, values of 512 (the same proportions).
          h1    in turn with windows of 2,048 tokens; h2: Mamba-2, gated DeltaNet, windows;
          3to1  three layers for one of full attention, as in Qwen3-Next.
          Computed here: 379.8 M and 1,387 M; h1 358.6 M and 1,303 M; h2 1,333 M and 3to1 1,366 M
          of the larger. Perplexities are not claimed: the tokenizer (LLaMA 2's) and the corpus
          differ.
Command   lmjax train --config=experiments/models/gated_deltanet.py:0.4b,h1 --workdir=runs/deltanet
          FineWeb-Edu is not among the package's corpora: --config.data.corpus=text
          --config.data.files=DIR. Numbers are of its tokens, here they are bytes.
Hardware  accelerators. None of these was trained here.
Recipe    of the paper's 1.3 B: rows of 4,096 tokens, 0.5 M a batch, AdamW at 4e-4, weight decay
          0.1, a clipped gradient, 1 B tokens of warm-up and a cosine.
Differs   hybrids have as many layers as the others.

`:smoke` is a tiny model and 20 steps; likewise `:h1,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

MIXERS = "model.mixers"


def _of_size(width: int, feed_forward_width: int, heads: int, attention_heads: int) -> dict:
    return {
        "model.width": width,
        "model.feed_forward_width": feed_forward_width,
        "model.heads": attention_heads,
        f"{MIXERS}.gated_delta_net.heads": heads,
    }


VARIANTS = {
    "0.4b": {**_of_size(1024, 2816, 3, 8), "training.duration": "30000 steps"},
    "1.3b": {**_of_size(2048, 5632, 6, 16), "training.duration": "200000 steps"},
    "h1": {
        "model.pattern": ("gated_delta_net", "sliding_window"),
        "model.position": "rotary",
        f"{MIXERS}.sliding_window": {"window": 2048},
    },
    "h2": {
        "model.pattern": ("mamba2", "gated_delta_net", "sliding_window"),
        "model.position": "rotary",
        f"{MIXERS}.sliding_window": {"window": 2048},
    },
    "3to1": {
        "model.pattern": (*("gated_delta_net",) * 3, "attention"),
        "model.position": "rotary",
        f"{MIXERS}.attention": {"query_key_norm": True, "output_gate": True, "rotary_share": 0.25},
    },
    "smoke": {
        **_of_size(32, 64, 2, 2),
        "model.layers": 4,
        f"{MIXERS}.gated_delta_net.head_width": 8,
        f"{MIXERS}.gated_delta_net.value_head_width": 16,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`0.4b` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(layers=21, pattern=("gated_delta_net",), feed_forward="swiglu")
    config.model.update(norm="rms_norm", position="none", tied=False)
    config.model.mixers.gated_delta_net = ConfigDict(dict(head_width=256, value_head_width=512))
    config.data.update(batching="stream", batch_size=128, length=4096)
    config.training.update(
        learning_rate=4e-4,
        final_learning_rate=4e-5,
        warmup="1900 steps",
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.evaluation.context = "carried"
    config.update_from_flattened_dict(VARIANTS["0.4b"])
    return with_variants(config, arg, VARIANTS)
