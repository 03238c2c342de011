"""Interpolated Kneser-Ney 5-gram on the Penn Treebank.

Claim     KN5 without cutoffs, closed vocabulary of 10,000 words, one <eos> a line: test perplexity
          141.2, with a unigram cache 125.7 (Mikolov's thesis, table 4.1, as later papers quote it).
Command   lmjax train --config=experiments/ptb/kneser_ney5.py --workdir=runs/kneser_ney5
Hardware  2 CPU cores, about ten seconds.
Expected  test perplexity 141.2 +- 0.3 with three discounts an order (modified Kneser-Ney);
          `:single_discount`, one discount an order, 143.5 +- 0.3.
          All 82,430 targets are scored, in one row with carried context.
Measured  141.19, and 143.51 with one discount. With a cache (lmjax evaluate --cache) 126.77, of the
          last 200 targets at a weight of 0.101, as validation prefers.

`:smoke` counts bigrams only.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "single_discount": {"model.smoothing": "kneser_ney"},
    "smoke": {"model.order": 2},
}


def get_config(arg: str = "") -> ConfigDict:
    """The configuration of one of VARIANTS; raises UserError for another `arg`."""
    config = base_config("ngram")
    config.model.update(order=5, smoothing="modified_kneser_ney", sentence_boundary=True)
    config.data.update(corpus="ptb", tokenizer="word")
    config.evaluation.update(context="carried", rows=1, splits=("validation", "test"))
    return with_variants(config, arg, VARIANTS)
