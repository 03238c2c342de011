"""Mixtral: a decoder in which each token goes through two of eight feed-forward networks.

Claim     Jiang et al. (2024), table 1 and section 2:
          8x7b   32 layers of 4,096, eight experts of 14,336: 47 B parameters, of which a token uses
                 13 B.
          Computed here with their vocabulary of 32,000: 46.7 B, of which a token uses 12.9 B.
          8x60m is none of theirs: 8 layers of 512 in the same proportions, 214 M parameters of
          which a token uses 82 M, with a capacity of 1.25 in training (Fedus et al. 2022, section
          2.2), for one accelerator.
Command   lmjax train --config=experiments/models/mixtral.py:8x60m --workdir=runs/mixtral
          --config.data.corpus=text --config.data.files=DIR
          8x7b needs many accelerators: --config.execution.mesh=data=-1,fsdp=16,tensor=4
Hardware  accelerators. None of these was trained here.
Recipe    the paper has none. That of Mamba's scaling laws (Gu and Dao 2023, appendix E.2) without
          its larger learning rates; the loss that balances experts has transformers' coefficient.
Differs   experts of a step without a capacity all read all tokens, as 8x7b's do: a step then costs
          as much as one of 47 B parameters.

`:smoke` is a tiny model and 20 steps; likewise `:8x60m,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

EXPERTS = "model.feed_forward_options.mixture_of_experts"
VARIANTS = {
    "8x7b": {},
    "8x60m": {
        "model.layers": 8,
        "model.width": 512,
        "model.heads": 8,
        "model.mixers.attention.key_value_heads": 2,
        "model.feed_forward_width": 1792,
        "model.context_length": 2048,
        f"{EXPERTS}.capacity_factor": 1.25,
        "data.batch_size": 64,
        "data.length": 2048,
        "training.learning_rate": 1e-3,
    },
    "smoke": {
        "model.layers": 2,
        "model.width": 16,
        "model.heads": 4,
        "model.mixers.attention.key_value_heads": 2,
        "model.feed_forward_width": 24,
        "model.context_length": 32,
        "model.dtype": "float32",
        f"{EXPERTS}.capacity_factor": 1.25,
        "data.tokenizer": "byte",
        "data.vocabulary_size": 0,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "training.learning_rate": 1e-3,
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`8x7b` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(
        layers=32,
        width=4096,
        heads=32,
        feed_forward_width=14336,
        context_length=32768,
        norm="rms_norm",
        norm_epsilon=1e-5,
        position="rotary",
        feed_forward="mixture_of_experts",
        bias=False,
        tied=False,
        dtype="bfloat16",
        remat="block",
        scan_layers=True,
    )
    config.model.mixers.attention = ConfigDict(dict(key_value_heads=8, rotary_base=1e6))
    config.model.feed_forward_options.mixture_of_experts = ConfigDict(
        dict(expert="swiglu", experts=8, experts_per_token=2, balance=0.001, capacity_factor=0.0)
    )
    config.data.update(
        tokenizer="bpe", vocabulary_size=32000, document_end=True, batch_size=128, length=32768
    )
    config.training.update(
        duration="100000 steps",
        warmup="2000 steps",
        learning_rate=1.2e-4,
        final_learning_rate=1e-5,
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    return with_variants(config, arg, VARIANTS)
