"""Griffin: two recurrent blocks with RG-LRUs, then one of local attention, over and over.

Claim     De et al. (2024), appendix C, with the widths of the model and of the recurrence:
          100m    12 layers of   768 and 1,024,  6 heads;
          200m    12 layers of 1,024 and 1,536,  8 heads;
          400m    12 layers of 1,536 and 2,048, 12 heads;
          1.3b    24 layers of 2,048 and 2,560, 16 heads;
          3b      24 layers of 3,072 and 4,096, 24 heads;
          7b      32 layers of 4,096 and 5,632, 32 heads;
          14b     40 layers of 5,120 and 8,192, 40 heads.
          `recurrent_gemma` is the 2 B model of RecurrentGemma (Botev et al. 2024).
          Computed here, without embeddings: 89.2 M, 162.9 M, 355.1 M, 1,242 M, 2,834 M, 6,789 M
          and 13,762 M parameters; 2,027 M for RecurrentGemma's, which states 2.0 B. Losses are not
          claimed: the corpus (MassiveText) is not public.
Command   lmjax train --config=experiments/models/griffin.py:100m --workdir=runs/griffin
          A corpus of that size is not among the package's: --config.data.corpus=text
          --config.data.files=DIR. Durations are the paper's tokens, here they are bytes.
Hardware  accelerators. None of these was trained here.
Recipe    AdamW over rows of 2,048; the paper tells no learning rate, so this one is to be tuned.

`:smoke` is a tiny model and 20 steps; likewise `:7b,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

MIXERS = "model.mixers"


def _of_size(layers: int, width: int, inner: int, heads: int, tokens: str) -> dict:
    return {
        "model.layers": layers,
        "model.width": width,
        "model.feed_forward_width": 3 * width,
        "model.heads": heads,
        f"{MIXERS}.rg_lru.inner_width": inner,
        "training.duration": f"{tokens} tokens",
    }


VARIANTS = {
    "100m": _of_size(12, 768, 1024, 6, "1.9e9"),
    "200m": _of_size(12, 1024, 1536, 8, "3.9e9"),
    "400m": _of_size(12, 1536, 2048, 12, "7.8e9"),
    "1.3b": _of_size(24, 2048, 2560, 16, "25e9"),
    "3b": _of_size(24, 3072, 4096, 24, "60e9"),
    "7b": _of_size(32, 4096, 5632, 32, "132e9"),
    "14b": _of_size(40, 5120, 8192, 40, "300e9"),
    "recurrent_gemma": _of_size(26, 2560, 2560, 10, "2e12")
    | {
        f"{MIXERS}.rg_lru.blocks": 10,
        f"{MIXERS}.sliding_window.window": 2048,
        f"{MIXERS}.sliding_window.rotary_share": 0.5,
        "model.norm_epsilon": 1e-6,
        "model.scaled_embedding": True,
        "model.logits_cap": 30.0,
    },
    "smoke": {
        "model.layers": 3,
        "model.width": 16,
        "model.feed_forward_width": 48,
        "model.heads": 4,
        f"{MIXERS}.rg_lru.inner_width": 24,
        f"{MIXERS}.rg_lru.blocks": 4,
        f"{MIXERS}.sliding_window.window": 8,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`100m` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(
        pattern=("rg_lru", "rg_lru", "sliding_window"),
        feed_forward="geglu",
        norm="rms_norm",
        position="rotary",
    )
    config.model.mixers.rg_lru = ConfigDict(dict(inner_width=1024, blocks=16))
    local = dict(window=1024, key_value_heads=1, rotary_share=1.0)
    config.model.mixers.sliding_window = ConfigDict(local)
    config.data.update(batching="stream", batch_size=128, length=2048)
    config.training.update(
        learning_rate=1e-3,
        final_learning_rate=1e-4,
        warmup="2 percent",
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.evaluation.context = "carried"
    config.update_from_flattened_dict(VARIANTS["100m"])
    return with_variants(config, arg, VARIANTS)
