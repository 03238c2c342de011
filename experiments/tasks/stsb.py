"""How alike two sentences are, from 0 to 5, told by heads on several families.

Claim     None measured yet; expected is that MiniLM's cosines agree with people's ratings better
          after fine-tuning than before it, and either better than what is trained from scratch on
          5,749 pairs.
Command   lmjax train --config=experiments/tasks/stsb.py:minilm,cosine --workdir=runs/stsb_minilm
          lmjax train --config=experiments/tasks/stsb.py:lstm,siamese --workdir=runs/stsb_lstm
Hardware  One CPU core, estimated at some minutes each, and MiniLM's at a quarter of an hour.
Published MiniLM before fine-tuning has Spearman's 0.8203 on the test (sentence-transformers);
          Reimers and Gurevych (2019, table 2) have 0.847 by BERT-base, as `cosine` is trained.

The families and what MiniLM needs are those of base.py. Without further variants both sentences of
a pair are read together; `siamese` reads them apart and puts u, v, |u - v| and u v into the head,
`cosine` tells their cosine.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from lmjax.config import choose

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
OF_LABELS = ("bag_of_ngrams", "balanced", "smoothed")
APART = {
    "siamese": {"model.siamese": "concatenated", "model.pooling": "mean"},
    "cosine": {
        "model.siamese": "cosine",
        "model.dropout": 0.0,
        "model.pooling": "mean",
        "training.initial_new": (),
    },
}
VARIANTS = {
    **{name: changes for name, changes in BASE["VARIANTS"].items() if name not in OF_LABELS},
    "minilm": {**BASE["FAMILIES"]["minilm"], "training.initial_new": ("number_head",)},
    **APART,
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`, in any order; raises UserError for another."""
    # What reads texts apart has no head, whatever a family would have.
    arg = ",".join(sorted(arg.split(","), key=lambda name: name in APART))
    data = dict(corpus="stsbenchmark", tokenizer="number")
    config = BASE["make_config"](arg, data, VARIANTS)
    choose(config, "objective", "regression")
    config.model.update(lowest=0.0, highest=5.0)
    return config
