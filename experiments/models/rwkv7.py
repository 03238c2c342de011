"""RWKV-7: time mixing by a delta rule with vectors for decay and learning rate, and channel mixing.

Claim     Peng et al. (2025), table 2, with a vocabulary of 65,536 and heads of 64:
          0.1b    12 layers of   768,   191 M parameters;
          0.4b    24 layers of 1,024,   451 M;
          1.5b    24 layers of 2,048, 1,527 M;
          2.9b    32 layers of 2,560, 2,948 M.
          Computed here: 190.5 M, 449.2 M, 1,521.3 M and 2,937.5 M; what is missing to the
          authors' counts is, to a number, the residual of the first layer's values. Losses are
          not claimed: tokenizer and corpus differ.
Command   lmjax train --config=experiments/models/rwkv7.py:0.1b --workdir=runs/rwkv7
          Their corpora are not among the package's: --config.data.corpus=text
          --config.data.files=DIR. Numbers are of their tokens, here they are bytes.
Hardware  accelerators. None of these was trained here.
Recipe    of the authors' script for the Pile (demo-training-run-v7-pile.sh): rows of 4,096 in
          batches of 240, Adam (0.9, 0.99) from 8e-4 to 3e-5, weight decay 0.1, 332 B tokens.
Differs   no residual of the first layer's values; what parameters begin as does not depend on the
          layer; a cosine. Each of their layers is two here.

`:smoke` is a tiny model and 20 steps; likewise `:0.4b,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

MIXER = "model.mixers.rwkv7"


def _of_size(layers: int, width: int, decay_rank: int, gate_rank: int) -> dict:
    return {
        "model.layers": 2 * layers,
        "model.width": width,
        "model.heads": width // 64,
        f"{MIXER}.decay_rank": decay_rank,
        f"{MIXER}.rate_rank": decay_rank,
        f"{MIXER}.gate_rank": gate_rank,
    }


VARIANTS = {
    "0.1b": _of_size(12, 768, 64, 128),
    "0.4b": _of_size(24, 1024, 64, 128),
    "1.5b": _of_size(24, 2048, 96, 256),
    "2.9b": _of_size(32, 2560, 96, 320),
    "smoke": {
        **_of_size(1, 128, 8, 8),
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`0.1b` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(pattern=("rwkv7", "rwkv_channel_mixing"), feed_forward="none")
    config.model.update(position="none", bias=True, tied=False, embedding_norm=True)
    config.model.mixers.rwkv7 = ConfigDict(dict(decay_rank=64, rate_rank=64, gate_rank=128))
    config.data.update(batching="stream", batch_size=240, length=4096)
    config.training.update(
        duration="337000 steps",
        learning_rate=8e-4,
        final_learning_rate=3e-5,
        warmup="10 steps",
        beta2=0.99,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.evaluation.context = "carried"
    config.update_from_flattened_dict(VARIANTS["0.1b"])
    return with_variants(config, arg, VARIANTS)
