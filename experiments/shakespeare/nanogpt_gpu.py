"""nanoGPT's baby GPT: a Transformer of 10.7 M parameters on the characters of Shakespeare.

Claim     Best validation loss 1.4697 nats a character (README of karpathy/nanoGPT and its
          config/train_shakespeare_char.py); it is reached near step 2,000 of 5,000.
Command   lmjax train --config=experiments/shakespeare/nanogpt_gpu.py --workdir=runs/nanogpt_gpu
Hardware  One GPU, a few minutes (published: three on an A100). 2 CPU cores would need half a day.
Expected  1.47 +- 0.02 at the best of the evaluations, over the whole validation split; not yet
          measured with this code.
Differs   The published number is the mean of 200 random batches of 64 windows, most of them read
          more than once. Here each of the 111,540 targets is scored once, in windows of 256 that
          do not overlap; so a target sees as much context on average. The published run computes in
          bfloat16 or float16, this one in float32.

Seeds by --config.seed. `:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "smoke": {
        "model.layers": 1,
        "model.width": 12,
        "model.heads": 2,
        "data.batch_size": 4,
        "data.length": 64,
        "training.duration": "20 steps",
        "training.warmup": "2 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe, or its `smoke` variant; raises UserError for another `arg`."""
    config = base_config("transformer")
    config.model.update(
        layers=6,
        width=384,
        heads=6,
        context_length=256,
        feed_forward="gelu_exact",
        bias=False,
        dropout=0.2,
    )
    config.data.update(
        corpus="tiny_shakespeare",
        tokenizer="character",
        batching="random_windows",
        batch_size=64,
        length=256,
    )
    config.training.update(
        duration="5000 steps",
        learning_rate=1e-3,
        schedule="cosine",
        warmup="100 steps",
        final_learning_rate=1e-4,
        beta2=0.99,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.evaluation.update(
        every="250 steps", context="windowed", window=256, stride=256, checkpoint="best"
    )
    return with_variants(config, arg, VARIANTS)
