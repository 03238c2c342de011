"""Kinds of questions, or film reviews: from a pretrained BERT, and from scratch.

Claim     A pretrained encoder tells more labels right than the same one from scratch (Devlin et al.
          2019, table 1, at another size and of other sets).
Command   lmjax train --config=experiments/pretraining/bert_tiny.py --workdir=runs/bert_tiny
          lmjax train --config=experiments/pretraining/finetune.py:trec,tenth --workdir=runs/trec
          lmjax train --config=experiments/pretraining/finetune.py:trec,tenth,scratch
          --workdir=runs/trec_scratch
Hardware  One CPU core, half a minute each after the pretraining, of all labels one.
Measured  Accuracy on TREC's test: 74.0 % to 63.5 % from scratch with a tenth of the labels (five
          seeds, p = 2e-5), 86.7 % to 83.4 % with all (three seeds, p = 0.08). On SST-2 none is
          better. See experiments/results/pretraining.md.
Differs   TREC's 5,452 questions of six kinds, and the 6,920 sentences of SST-2 in place of GLUE's
          67,349 phrases; what is pooled is the mean over all tokens.

No argument is SST-2, `:trec` is TREC; `tenth` keeps a tenth of the labels and reads it 15 times.
Both arms read the tokens of the pretrained run, which --config.training.initial_params and
--config.data.tokenizer_file name. Seeds by --config.seed. `:smoke` is 20 steps, to go on from
bert_tiny.py:smoke.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

PRETRAINED = "runs/bert_tiny"
VARIANTS = {
    "trec": {"data.corpus": "trec"},
    "tenth": {
        "data.train_share": 0.1,
        "training.duration": "15 epochs",
        "evaluation.every": "3 epochs",
    },
    "scratch": {
        "training.initial_params": "",
        "training.initial_new": (),
        "training.initial_left": (),
        "training.initial_paths": (),
    },
    "smoke": {
        "data.train_share": 0.02,
        "model.backbone.layers": 1,
        "model.backbone.width": 16,
        "model.backbone.heads": 2,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("classifier")
    config.model.backbone.update(layers=4, width=128, heads=4, context_length=160, dropout=0.1)
    config.data.update(
        corpus="sst2",
        source_tokenizer="file",  # the pretrained model's
        tokenizer_file=PRETRAINED,
        cleaning=("lowercase",),  # as what the model was pretrained on
        batch_size=32,
    )
    config.training.update(
        duration="5 epochs",
        initial_params=PRETRAINED,
        initial_paths=("encoder=backbone/encoder",),
        initial_new=("label_head/*",),
        initial_left=("head_dense/*", "head_norm/*", "output_bias"),
        learning_rate=5e-4,
        schedule="linear",
        warmup="10 percent",
        weight_decay=0.01,
        clip_norm=1.0,
    )
    config.evaluation.every = "1 epochs"
    config.evaluation.splits = ("validation", "test")
    config.evaluation.checkpoint = "last"  # the one with the lowest nats is far from the most right
    return with_variants(config, arg, VARIANTS)
