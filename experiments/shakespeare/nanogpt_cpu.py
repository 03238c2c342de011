"""nanoGPT's smallest recipe: a Transformer of 0.8 M parameters on the characters of Shakespeare.

Claim     Validation loss 1.88 nats a character after 2,000 steps (README of karpathy/nanoGPT, the
          command for a computer without a GPU).
Command   lmjax train --config=experiments/shakespeare/nanogpt_cpu.py --workdir=runs/nanogpt_cpu
Hardware  2 CPU cores, about three minutes.
Expected  1.91 +- 0.01 over the whole validation split. The same recipe in PyTorch gives 1.908 and
          1.916 so, with two seeds.
Differs   The published number is the mean of 20 random batches of 12 windows, 15,360 targets. Here
          each of the 111,540 targets is scored once, in windows of 64 that do not overlap.

Seeds by --config.seed. `:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "smoke": {
        "model.layers": 1,
        "model.width": 16,
        "model.heads": 2,
        "training.duration": "20 steps",
        "training.warmup": "2 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe, or its `smoke` variant; raises UserError for another `arg`."""
    config = base_config("transformer")
    config.model.update(
        layers=4, width=128, heads=4, context_length=64, feed_forward="gelu_exact", bias=False
    )
    config.data.update(
        corpus="tiny_shakespeare",
        tokenizer="character",
        batching="random_windows",
        batch_size=12,
        length=64,
    )
    config.training.update(
        duration="2000 steps",
        learning_rate=1e-3,
        schedule="cosine",
        warmup="100 steps",
        final_learning_rate=1e-4,
        beta2=0.99,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.evaluation.update(
        every="500 steps", context="windowed", window=64, stride=64, checkpoint="last"
    )
    return with_variants(config, arg, VARIANTS)
