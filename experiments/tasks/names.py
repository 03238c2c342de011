"""Surnames, of which of 18 languages they are, told letter by letter by heads on several families.

Claim     None measured yet; expected is that letters tell the language of most surnames.
Command   lmjax train --config=experiments/tasks/names.py:lstm --workdir=runs/names_lstm
Hardware  One CPU core, estimated at some minutes each.
Published None of the same split: PyTorch's tutorial, whose data it is, shows a confusion matrix of
          the names that it was trained on.

The small families are those of base.py; `balanced` is worth a look, since nearly half of the names
are Russian, 74 Portuguese and 73 Vietnamese.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
VARIANTS = {name: changes for name, changes in BASE["VARIANTS"].items() if name != "minilm"}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    letters = dict(source_tokenizer="character", source_vocabulary_size=0, cleaning=())
    return BASE["make_config"](arg, dict(corpus="names", **letters), VARIANTS)
