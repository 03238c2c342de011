"""Kinds of questions told by a small language model: fine-tuned, or asked by prompts.

Claim     None. What billions of parameters do with prompts (Zhao et al. 2021), so small a model is
          not expected to: near the most frequent label, which is right for 18.8 % of the test.
Command   lmjax study --study=experiments/tasks/blimp.py --workdir=runs/blimp
          lmjax train --config=experiments/tasks/fine_tuning.py --workdir=runs/trec_tuned
          lmjax train --config=experiments/tasks/fine_tuning.py:scratch --workdir=runs/trec_scratch
          lmjax prompt --workdir=runs/blimp/arms/transformer/seed_0 --task=trec --calibrate
          and so with --shots=4 --seed=0.
Hardware  one CPU core, a minute and a half each training; the prompts as long.
Here      The Transformer of blimp.py, which has read two million words. Its last token's vector is
          what the labels are told from. `tenth` keeps a tenth of the labels, `smoke` is 20 steps.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from lmjax.config import with_variants

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
BLIMP = runpy.run_path(Path(__file__).with_name("blimp.py"))
PRETRAINED = "runs/blimp/arms/transformer/seed_0"
BLOCKS = {
    **{name.replace("model.", "model.backbone."): size for name, size in BLIMP["BLOCKS"].items()},
    "model.backbone.name": "transformer",
    "model.backbone.feed_forward_width": 619,  # what blimp.py has solved for
    "model.backbone.context_length": 128,
    "model.backbone.dropout": 0.1,
    "model.pooling": "last",
}
VARIANTS = {
    "pretrained": {
        **BLOCKS,
        "training.initial_params": PRETRAINED,
        "training.initial_paths": ("=backbone",),
        "training.initial_new": ("label_head",),
        "data.tokenizer_file": PRETRAINED,
    },
    "scratch": {
        "training.initial_params": "",
        "training.initial_new": (),
        "training.initial_paths": (),
    },
    **{name: BASE["CHANGES"][name] for name in ("tenth", "smoke")},
}


def get_config(arg: str = "") -> ConfigDict:
    """The pretrained Transformer with the VARIANTS in `arg`; raises UserError for another."""
    data = dict(
        corpus="trec",
        cleaning=BLIMP["TEXT"]["data.cleaning"],
        source_tokenizer="file",
        source_vocabulary_size=0,
        special_tokens=(),
    )
    config = BASE["make_config"]("", data)
    return with_variants(config, ",".join(["pretrained", *filter(None, [arg])]), VARIANTS)
