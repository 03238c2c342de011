"""Bytes, characters or byte pairs as tokens, at equal parameters and training FLOPs.

Question  Which tokens should a small LSTM read, if all arms have the same number of parameters and
          the same training FLOPs?
Command   lmjax study --study=experiments/ablations/tokenizers.py --workdir=runs/tokenizers
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, a quarter of an hour.
Expected  Large models want subwords; Al-Rfou et al. (2019) and Xue et al. (2022) pay for bytes with
          depth or compute. No paper has sizes like these, where a table of 2,048 tokens is most of
          the model.
Differs   A row is 64 tokens, which are more text where tokens are longer; so are the epochs that
          equal FLOPs come to. Only bits per byte compare.

`:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
TOKENIZERS = {
    "bytes": {"data.tokenizer": "byte"},
    "characters": {"data.tokenizer": "character"},
    "BPE, 512": {"data.tokenizer": "bpe", "data.vocabulary_size": 512},
    "BPE, 2048": {"data.tokenizer": "bpe", "data.vocabulary_size": 2048},
}


def get_study(arg: str = "") -> Study:
    """The LSTM with each of the TOKENIZERS."""
    return BASE["make_study"](
        "tokenizers",
        arg,
        question="Which tokens should a small LSTM read, at equal parameters and training FLOPs?",
        arms=tuple(BASE["make_arm"](name, "lstm", text) for name, text in TOKENIZERS.items()),
        baseline="characters",
        matched=("parameters", "training_flops"),
    )
