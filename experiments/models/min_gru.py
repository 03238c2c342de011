"""minGRU on the characters of Shakespeare: a GRU whose gate does not see the state.

Claim     Test loss 1.548 nats a character (Feng et al. 2024, section 4.2); there minLSTM has 1.555,
          a Transformer 1.547 and Mamba 1.575.
Command   lmjax train --config=experiments/models/min_gru.py --workdir=runs/min_gru
Recipe    the paper's appendix: AdamW at 1e-3, 5,000 steps of 64 rows, gradients clipped at 0.25,
          twice as many cells as the model is wide; a convolution of 4 before them.
Differs   depth, width, dropout and context are those of nanoGPT's larger recipe for this corpus,
          6 layers of 384, 0.2 and 256, which the paper builds on: 12.5 M parameters here.
          The split is this package's, and all of it is scored once.
Hardware  an accelerator. Not trained here.

`:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "smoke": {
        "model.layers": 2,
        "model.width": 16,
        "data.corpus": "python_docs",
        "data.tokenizer": "byte",
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(
        layers=6,
        width=384,
        pattern=("min_gru",),
        short_convolution=4,
        norm="rms_norm",
        position="none",
        bias=True,
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
        weight_decay=0.1,
        clip_norm=0.25,
    )
    config.evaluation.update(every="250 steps", window=256, stride=256)
    config.evaluation.splits = ("validation", "test")
    return with_variants(config, arg, VARIANTS)
