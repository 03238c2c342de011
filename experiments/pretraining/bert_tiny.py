"""A tiny BERT on WikiText-2: masked language modelling from scratch.

Claim     Masked accuracy rises with the steps (Devlin et al. 2019, section 3.1, at another size: 4
          layers of width 128 and 4,096 byte pairs in place of 12 of width 768 and 30,000).
Command   lmjax train --config=experiments/pretraining/bert_tiny.py --workdir=runs/bert_tiny
Hardware  One CPU core, 15 minutes.
Measured  Seed 0: masked accuracy of validation, where each token is hidden once in seven passes,
          16.3 % after 1,500 steps, 27.0 % after 3,000, 31.2 % after 4,500, 33.7 % after 6,000
          (perplexity 43.9); of training and every 600 steps, and what fine-tuning from it gives,
          in experiments/results/pretraining.md.
Differs   Windows of 64 tokens in place of pairs of texts, so no next-sentence prediction
          (`:next_sentence` has both); lower case, as SST-2 is, which
          experiments/pretraining/finetune.py goes on with.

Seeds by --config.seed. `:smoke` is a smaller model, another corpus and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "next_sentence": {
        "data.batching": "sentence_pairs",
        "data.special_tokens": ("mask", "class", "separator"),
        "objective.next_sentence": True,
        "model.next_sentence": True,
    },
    "smoke": {
        "data.corpus": "python_docs",
        "data.train_share": 0.05,
        "data.vocabulary_size": 512,
        "data.batch_size": 8,
        "model.layers": 1,
        "model.width": 16,
        "model.heads": 2,
        "training.duration": "20 steps",
        "training.warmup": "2 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe, or one of its variants; raises UserError for another `arg`."""
    config = base_config("bert")
    config.model.update(layers=4, width=128, heads=4, context_length=160, dropout=0.0)
    config.data.update(
        corpus="wikitext2",
        cleaning=("lowercase",),
        tokenizer="bpe",
        vocabulary_size=4096,
        special_tokens=("mask", "class"),
        batching="windows",
        batch_size=32,
        length=64,
    )
    config.training.update(
        duration="6000 steps",
        learning_rate=1e-3,
        schedule="linear",
        warmup="5 percent",
        weight_decay=0.01,
        clip_norm=1.0,
    )
    config.evaluation.update(every="25 percent", window=64)
    return with_variants(config, arg, VARIANTS)
