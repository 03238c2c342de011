"""Questions whose answers stand in a text, found by heads on several families.

Claim     None measured yet; expected is that MiniLM, pretrained, is ahead of what is trained from
          scratch on 8,992 questions.
Command   lmjax train --config=experiments/tasks/squad.py:minilm --workdir=runs/squad_minilm
          lmjax train --config=experiments/tasks/squad.py:transformer --workdir=runs/squad
Hardware  One CPU core; five epochs are some 15 M tokens that are read.
Published None of these data: the splits are SQuAD 1.1's development set divided by article, since
          the training set is another file. Trained on that, BERT-base has an F1 of 88.5 on all of
          it (Devlin et al. 2019, table 2), logistic regression 51.0 (Rajpurkar et al. 2016).

The families and what MiniLM needs are those of base.py; without a variant it is `transformer`.
`smoke` is 20 steps on two questions of a hundred.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from lmjax.config import base_config

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
FAMILIES = ("lstm", "transformer", "mamba", "minilm")


def _fields(family: str) -> dict:
    """What a family changes, without what a head that points has not."""
    fields = BASE["FAMILIES"][family].items()
    return {name: value for name, value in fields if name != "model.pooling"}


VARIANTS = {family: _fields(family) for family in FAMILIES}
VARIANTS["minilm"]["training.initial_new"] = ("place_head",)
VARIANTS["smoke"] = BASE["CHANGES"]["smoke"]


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("span_finder")
    config.data.update(source_vocabulary_size=20_000, source_length=320, source_overlap=64)
    config.data.batch_size = 16
    config.training.update(duration="5 epochs", learning_rate=5e-4)
    return BASE["with_recipe"](config, arg, VARIANTS, "transformer")
