"""LLaMA and LLaMA 3: RMS norms, rotary positions, SwiGLU; the latter with grouped heads.

Claim     Touvron et al. (2023), table 2, and Grattafiori et al. (2024), table 3; parameters as they
          state them (of 3.2-1b, Meta's model card):
          7b       32 layers of 4,096, 32 heads: 6.7 B;
          13b      40 layers of 5,120, 40 heads: 13.0 B;
          3-8b     32 layers of 4,096, 32 heads, 8 of keys and values: 8 B;
          3.2-1b   16 layers of 2,048, 32 heads, 8 of keys and values, tied: 1.23 B.
          Computed here with their vocabularies, of 32,000 and, for LLaMA 3, 128,256: 6,738.4 M,
          13,015.9 M, 8,030.3 M and 1,235.8 M. Perplexities are not claimed: tokenizers and corpora
          differ.
Command   lmjax train --config=experiments/models/llama.py:7b --workdir=runs/llama
          Their corpora are not among the package's: --config.data.corpus=text
          --config.data.files=DIR. Numbers are of their tokens, here they are bytes.
Hardware  many accelerators. None of these was trained here.
Recipe    of the first paper, section 2.3 and table 2: AdamW at 3e-4 with betas of 0.9 and 0.95,
          2,000 steps of warm-up, a cosine to a tenth over 1 T tokens in batches of 4 M, weight
          decay 0.1, gradients clipped at 1. LLaMA 3 has the same rate for 8b, and 15 T tokens in
          rows of 8,192; its other numbers for these sizes are not published: those of the first
          stand here.
          3.2-1b came of pruning a larger model and learning from its logits, which this recipe is
          not; its longest wavelengths are stretched 32 times, for contexts of 131,072 tokens.
Differs   weights begin as GPT-2's: the papers don't say how theirs do.

`:smoke` is a tiny model and 20 steps; likewise `:3.2-1b,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

ATTENTION = "model.mixers.attention"


def _of_size(layers: int, width: int, heads: int, inner: int) -> dict:
    return {
        "model.layers": layers,
        "model.width": width,
        "model.heads": heads,
        "model.feed_forward_width": inner,
    }


LLAMA3 = {
    "model.norm_epsilon": 1e-5,
    "model.context_length": 8192,
    f"{ATTENTION}.key_value_heads": 8,
    f"{ATTENTION}.rotary_base": 500_000.0,
    "data.length": 8192,
    "data.batch_size": 512,
    "training.duration": "15e12 tokens",
}
VARIANTS = {
    "7b": _of_size(32, 4096, 32, 11008),
    "13b": _of_size(40, 5120, 40, 13824),
    "3-8b": _of_size(32, 4096, 32, 14336) | LLAMA3,
    "3.2-1b": _of_size(16, 2048, 32, 8192)
    | LLAMA3
    | {
        "model.tied": True,
        "model.context_length": 131_072,
        f"{ATTENTION}.rotary_scaling": "llama3",
        f"{ATTENTION}.rotary_factor": 32.0,
        f"{ATTENTION}.rotary_trained_length": 8192,
    },
    "smoke": _of_size(2, 16, 4, 32)
    | {
        "model.context_length": 32,
        f"{ATTENTION}.key_value_heads": 2,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`7b` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(
        norm="rms_norm",
        norm_epsilon=1e-6,
        position="rotary",
        feed_forward="swiglu",
        tied=False,
        context_length=2048,
    )
    config.model.mixers.attention = ConfigDict(
        dict(
            key_value_heads=0,
            rotary_base=10_000.0,
            rotary_scaling="none",
            rotary_factor=1.0,
            rotary_trained_length=0,
        )
    )
    config.data.update(batch_size=2048, length=2048)
    config.training.update(
        duration="1e12 tokens",
        learning_rate=3e-4,
        final_learning_rate=3e-5,
        warmup="2000 steps",
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.update_from_flattened_dict(VARIANTS["7b"])
    return with_variants(config, arg, VARIANTS)
