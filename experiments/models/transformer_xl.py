"""Transformer-XL: relative attention to a memory of the hidden states before a segment.

Claim     Dai et al. (2019), tables 1 and 2, with the sizes of the authors' code (kimiyoung/
          transformer-xl, run_wt103_base.sh, run_enwik8_base.sh, tf/sota/enwik8.sh):
          wt103      16 layers of 410, 151 M parameters: test perplexity 24.0 on WikiText-103;
          enwik8     12 layers of 512,  41 M: 1.06 bits per byte on enwik8;
          enwik8_24  24 layers of 1,024, 277 M: 0.99.
          Computed here: 150.9 M with a vocabulary of 267,735 words, 41.1 M and 277.4 M with 256
          bytes, u and v of each layer by itself.
Command   lmjax train --config=experiments/models/transformer_xl.py:enwik8 --workdir=runs/xl
          Neither corpus is among the package's: --config.data.corpus=text --config.data.files=DIR.
          The memory that a trained model is read with is chosen on validation:
          lmjax evaluate --workdir=runs/xl --model=mixers.transformer_xl.memory=2100
          --model=mixers.transformer_xl.farthest=820 (the authors' for enwik8; 640 and 400 for
          wt103, 3800 and 1000 for enwik8_24).
Hardware  accelerators. None of these was trained here.
Differs   Each token sees as many others, in training, too (`same_length` in the authors' code);
          embedding and softmax of wt103 are one whole table, where the authors' adaptive softmax
          saves time. The large model of WikiText-103 and those of the One Billion Word benchmark
          are left out: their embeddings are narrower for rarer words. Weights that add to the
          residual stream are drawn smaller, as GPT-2's.

`:smoke` is a tiny model and 20 steps; likewise `:wt103,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

MIXER = "model.mixers.transformer_xl"
VARIANTS = {
    "wt103": {
        "model.layers": 16,
        "model.width": 410,
        "model.heads": 10,
        "model.feed_forward_width": 2100,
        f"{MIXER}.memory": 150,
        "data.tokenizer": "word",
        "data.batch_size": 60,
        "data.length": 150,
        "training.duration": "200000 steps",
    },
    "enwik8": {},
    "enwik8_24": {
        "model.layers": 24,
        "model.width": 1024,
        "model.feed_forward_width": 3072,
        "model.dropout": 0.15,
        f"{MIXER}.memory": 768,
        f"{MIXER}.dropout": 0.15,
        "data.batch_size": 64,
        "data.length": 768,
        "training.warmup": "4000 steps",
    },
    "smoke": {
        "model.layers": 2,
        "model.width": 16,
        "model.heads": 2,
        "model.feed_forward_width": 32,
        f"{MIXER}.memory": 24,
        "data.tokenizer": "byte",
        "data.batch_size": 4,
        "data.length": 16,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`enwik8` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(
        layers=12,
        width=512,
        heads=8,
        feed_forward_width=2048,
        pattern=("transformer_xl",),
        position="none",
        norm_order="post",
        scaled_embedding=True,
        feed_forward="relu",
        bias=True,
        dropout=0.1,
    )
    config.model.mixers.transformer_xl = ConfigDict(dict(memory=512, dropout=0.0))
    config.data.update(batching="stream", resets="none", batch_size=22, length=512)
    config.training.update(
        duration="400000 steps",
        optimizer="adamw",
        learning_rate=2.5e-4,
        schedule="cosine",
        clip_norm=0.25,
    )
    config.evaluation.update(every="1 percent", context="carried", rows=1)
    return with_variants(config, arg, VARIANTS)
