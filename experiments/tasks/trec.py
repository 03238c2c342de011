"""Questions, of which six kinds of answers are asked for, told by heads on several families.

Claim     MiniLM, pretrained, is ahead of what is trained from scratch on 5,452 questions.
Command   lmjax train --config=experiments/tasks/trec.py:lstm_attention --workdir=runs/trec_lstm
          lmjax train --config=experiments/tasks/trec.py:minilm --workdir=runs/trec_minilm
Hardware  One CPU core, half a minute each, MiniLM's two.
Measured  Test accuracy over three seeds, rates tuned: LSTM 86.5 %, bag of n-grams 90.0 %, MiniLM
          94.9 +- 2.0 %; see experiments/results/tasks.md.
Published Kim (2014, table 2) has 93.6 % by a CNN on word2vec's vectors, tuned.

The families, what MiniLM needs and the other variants are those of base.py. `fine` asks for one of
50 kinds of answers in place of six; none was measured yet, and Li and Roth (2002) have 84.2 %.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
VARIANTS = {**BASE["VARIANTS"], "fine": {"data.corpus": "trec_fine"}}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    return BASE["make_config"](arg, dict(corpus="trec"), VARIANTS)
