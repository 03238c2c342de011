"""A tiny T5 on WikiText-2: spans that are left out of a text, told from the rest of it.

Claim     None of a number. The objective is that of Raffel et al. 2020, sections 3.1.4 (15 % of the
          tokens) and 3.3.4 (in spans of three), the model their encoder-decoder with 3 + 3 layers
          of width 128 in place of 12 + 12 of 768.
Command   lmjax train --config=experiments/pretraining/t5_tiny.py --workdir=runs/t5_tiny
Hardware  2 CPU cores, about 10 minutes by its operations; only `:smoke` was run so far.
Expected  `nats_per_token` of validation, of targets that are spans and sentinels: it stands beside
          that of the same objective alone.
Differs   Windows of 64 tokens in place of 512; Adam and a linear decay in place of Adafactor and
          the inverse square root; byte pairs in place of SentencePiece's; no dropout, as their
          later form but not their first (0.1) was pretrained.

`:v1_1` is the later form, with gated GELU and output weights of its own. `:smoke` is a smaller
model, another corpus and 20 steps; `:v1_1,smoke` likewise.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, objective_config, with_variants
from lmjax.model_defaults import ENCODER_DECODERS

LENGTH = 64
SPANS = 3  # of LENGTH tokens, at 15 % and three tokens each
VARIANTS = {
    "v1_1": {"model.feed_forward": "gated_gelu", "model.tied": False, "model.scaled_logits": False},
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
    config = base_config("encoder_decoder")
    config.model.update(ENCODER_DECODERS["t5"])
    config.model.update(layers=3, width=128, heads=4, context_length=LENGTH, dropout=0.0)
    config.objective = objective_config("span_corruption")
    config.data.update(
        corpus="wikitext2",
        document_end=False,
        tokenizer="bpe",
        vocabulary_size=4096,
        special_tokens=tuple(f"sentinel_{i}" for i in range(SPANS + 1)),
        batching="windows",
        batch_size=32,
        length=LENGTH,
        source_length=LENGTH,
    )
    config.training.update(
        duration="3000 steps",
        learning_rate=1e-3,
        schedule="linear",
        warmup="5 percent",
        clip_norm=1.0,
    )
    config.evaluation.update(every="25 percent", context="windowed", window=LENGTH)
    return with_variants(config, arg, VARIANTS)
