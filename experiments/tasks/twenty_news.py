"""Messages of 20 newsgroups, told by heads on several families from their first 256 tokens.

Claim     None measured yet; expected is that the bag of n-grams is hard to beat.
Command   lmjax train --config=experiments/tasks/twenty_news.py:bag_of_ngrams
          --workdir=runs/twenty_news_bag
          lmjax train --config=experiments/tasks/twenty_news.py:lstm_attention
          --workdir=runs/twenty_news_lstm
Hardware  One CPU core, estimated at a quarter of an hour each, and MiniLM's at an hour and a half.
Published Yao et al. (2019, table 2) have 83.2 % by TF-IDF and logistic regression, and 86.3 % by a
          graph of words and texts, of whole messages with their headers.
Differs   Longer messages are cut: half have more than 175 words, and punctuation is tokens, too.

The families, what MiniLM needs and the other variants are those of base.py; `stripped` leaves the
words of a message's writer, without headers, footers and quotes.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
STRIPPED = ("message_headers", "message_footers", "message_quotes")
VARIANTS = {**BASE["VARIANTS"], "stripped": {"data.cleaning": (*STRIPPED, "lowercase")}}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    data = dict(corpus="20news", source_length=256, cut_sources=256)
    return BASE["make_config"](arg, data, VARIANTS)
