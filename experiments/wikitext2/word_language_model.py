"""The LSTM of PyTorch's word-level example on WikiText-2, the corpus that it comes with.

Claim     Test perplexity, as users of pytorch/examples measured it (its issues 281 and 415), with
          the flags of its README: 200 units, 6 epochs 142.07, tied 130.32; tied, 40 epochs
          100.33; 650 units, 40 epochs 94.30 and 94.57, tied 86.68; 1,500 units, tied 84.12 and
          84.17.
Command   lmjax train --config=experiments/wikitext2/word_language_model.py:tied
          --workdir=runs/word_lm_wikitext2
Hardware  2 CPU cores: 6 epochs in about two and a half hours; it has not been run here.
Expected  test perplexity 142 +- 3, tied 130 +- 3, over all 245,569 targets.

The variants are those of experiments/ptb/word_language_model.py, and so is what differs.
"""

from pathlib import Path

from ml_collections import ConfigDict

from lmjax import load_experiment

SAME = Path(__file__).parent.parent / "ptb" / "word_language_model.py"


def get_config(arg: str = "") -> ConfigDict:
    """The recipe for the Penn Treebank, on WikiText-2; raises UserError for another `arg`."""
    config = load_experiment(f"{SAME}:{arg}")
    config.data.corpus = "wikitext2"
    return config
