"""Poems of the Tang dynasty, or surnames, written by an LSTM character by character.

Claim     None: there is no published number for this split.
Command   lmjax train --config=experiments/tasks/poems.py --workdir=runs/poems
          lmjax sample --workdir=runs/poems --samples=20 --length=80 --measure
Here      Each poem begins anew and ends with `<eos>`; a verse a line. What the samples are worth
          beside poems that the model has not seen, `--measure` tells, see docs/texts.md.
Hardware  one CPU core, 8 minutes an epoch.

`:surnames` writes names of 18 languages. `:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "surnames": {
        "data.corpus": "surnames",
        "data.batch_size": 16,
        "model.width": 128,
        "model.embedding_width": 32,
        "training.duration": "10 epochs",
    },
    "smoke": {
        "model.width": 8,
        "model.embedding_width": 8,
        "data.train_share": 0.02,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("rnn")
    config.model.update(cell="lstm", layers=1, width=256, embedding_width=128, dropout=0.2)
    config.data.update(
        corpus="chinese_poetry_tang",
        tokenizer="character",
        batching="packed",
        document_end=True,
        batch_size=32,
        length=64,
    )
    config.training.update(
        duration="3 epochs",
        learning_rate=3e-3,
        schedule="cosine",
        warmup="5 percent",
        clip_norm=1.0,
    )
    config.evaluation.every = "10 percent"
    config.evaluation.splits = ("validation", "test")
    return with_variants(config, arg, VARIANTS)
