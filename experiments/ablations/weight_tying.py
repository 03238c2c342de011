"""Output weights that are the embedding's, in an LSTM and a Transformer (Press and Wolf 2017).

Question  Do LSTM and Transformer predict better if embedding and output weights are one table, with
          equal parameters? `:width` asks it at equal widths, where that table is saved.
Command   lmjax study --study=experiments/ablations/weight_tying.py --workdir=runs/tying
          lmjax study --study=experiments/ablations/weight_tying.py:width --workdir=runs/tying_width
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, ten minutes.
Expected  Press and Wolf (2017), at equal widths: the small LSTM on Penn Treebank goes from a
          perplexity of 114.5 to 112.4, with fewer parameters.
Differs   The vocabulary is one of 1,024 byte pairs, not 10,000 words, and the text Shakespeare's.

`:smoke`, or `:width,smoke`, takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
FAMILIES = {"LSTM": ("lstm", {"model.width": 96}), "Transformer": ("transformer", {})}
TEXT = {"data.tokenizer": "bpe", "data.vocabulary_size": 1024}
VARIANTS = {"width": {"matched": ("training_tokens",)}}


def get_study(arg: str = "") -> Study:
    """Both families with two tables and with one."""
    return BASE["make_study"](
        "weight_tying",
        arg,
        VARIANTS,
        question="Do LSTM and Transformer predict better with one table than with two?",
        arms=tuple(
            BASE["make_arm"](
                f"{name}, {tables}", family, {**TEXT, **fields, "model.tied": tables == "tied"}
            )
            for name, (family, fields) in FAMILIES.items()
            for tables in ("untied", "tied")
        ),
        baseline="LSTM, untied",
    )
