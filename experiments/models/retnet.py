"""RetNet: layers of multi-scale retention and a feed-forward network of twice the width.

Claim     Sun et al. (2023), section 3.1, with 256 numbers of keys and 512 of values in each head:
          1.3b    24 layers of 2,048;
          2.7b    32 layers of 2,560;
          6.7b    32 layers of 4,096.
          Computed here with 256 bytes: 1,209 M, 2,517 M and 6,444 M parameters; the others of the
          paper's are of its larger vocabulary. Perplexities are not claimed: its corpus is private.
Command   lmjax train --config=experiments/models/retnet.py:1.3b --workdir=runs/retnet
          with --config.data.corpus=text --config.data.files=DIR for a corpus that is large enough.
Hardware  accelerators. None of these was trained here.
Recipe    the paper's: AdamW, 375 steps of warm-up and a linear decay over 25,000 of 4 M tokens in
          rows of 2,048, dropout 0.1, weight decay 0.05.

`:smoke` is a tiny model and 20 steps; likewise `:2.7b,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants


def _of_size(layers: int, width: int, rate: float) -> dict:
    return {
        "model.layers": layers,
        "model.width": width,
        "model.heads": width // 256,
        "model.feed_forward_width": 2 * width,
        "training.learning_rate": rate,
    }


VARIANTS = {
    "1.3b": _of_size(24, 2048, 6e-4),
    "2.7b": _of_size(32, 2560, 3e-4),
    "6.7b": _of_size(32, 4096, 3e-4),
    "smoke": {
        "model.layers": 2,
        "model.width": 16,
        "model.heads": 2,
        "model.feed_forward_width": 32,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`1.3b` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(pattern=("retention",), position="none", dropout=0.1)
    config.data.update(batching="stream", batch_size=2048, length=2048)
    config.training.update(
        duration="25000 steps",
        schedule="linear",
        warmup="375 steps",
        beta2=0.98,
        weight_decay=0.05,
        clip_norm=2.0,
    )
    config.evaluation.context = "carried"
    config.update_from_flattened_dict(VARIANTS["1.3b"])
    return with_variants(config, arg, VARIANTS)
