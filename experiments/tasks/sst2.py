"""Sentences of film reviews, which praise or not, told by heads on several families.

Claim     MiniLM, pretrained, is ahead of what is trained from scratch on 6,920 sentences.
Command   lmjax train --config=experiments/tasks/sst2.py:lstm_attention --workdir=runs/sst2_lstm
          lmjax train --config=experiments/tasks/sst2.py:minilm --workdir=runs/sst2_minilm
Hardware  One CPU core, up to a minute each, MiniLM's five.
Measured  Test accuracy over three seeds, rates tuned: LSTM 82.5 %, bag of n-grams 82.3 %, MiniLM
          88.3 +- 1.2 %; see experiments/results/tasks.md.
Published Kim (2014, table 2) has 88.1 % by a CNN on word2vec's vectors, fixed and tuned, trained
          on the phrases of the sentences, too.

The families, what MiniLM needs and the other variants are those of base.py. `glue` is trained on
GLUE's 67,349 phrases, as Kim's, of which six are sentences of the test; none was measured yet.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
VARIANTS = {**BASE["VARIANTS"], "glue": {"data.corpus": "sst2_glue"}}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    return BASE["make_config"](arg, dict(corpus="sst2"), VARIANTS)
