"""News of four topics, told by heads on several families.

Claim     None measured yet; expected is that MiniLM, pretrained, is ahead of what is trained from
          scratch on 10,001 descriptions.
Command   lmjax train --config=experiments/tasks/ag_news.py:lstm_attention
          --workdir=runs/ag_news_lstm
          lmjax train --config=experiments/tasks/ag_news.py:minilm --workdir=runs/ag_news_minilm
Hardware  One CPU core, estimated at some minutes each, and MiniLM's at a quarter of an hour.
Published Zhang et al. (2015, table 4) have 92.0 % by n-grams on all 120,000 texts.

The families, what MiniLM needs and the other variants are those of base.py.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
VARIANTS = BASE["VARIANTS"]


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    return BASE["make_config"](arg, dict(corpus="ag_news"))
