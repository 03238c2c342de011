"""AWD-LSTM in the sizes of its papers.

Claim     Merity, Keskar and Socher (2018a): ptb, 24 M parameters, and wikitext2, 33 M, of which the
          first has its recipe in experiments/ptb/awd_lstm.py; test perplexities 57.3 and 65.8.
          Merity, Keskar and Socher (2018b): ptb_characters, 3 layers of 1,000, 13.8 M: 1.175 bits
          per character; enwik8, 3 layers of 1,840, 47 M: 1.232.
          Computed here, with one bias for each gate where the authors have two: 24.2 M (10,000
          words), 33.5 M (33,278 words), 13.8 M (51 characters), 47.2 M (205 bytes).
Command   lmjax train --config=experiments/models/awd_lstm.py:wikitext2 --workdir=runs/awd_lstm
          Neither corpus of characters is among the package's: --config.data.corpus=text
          --config.data.files=DIR.
Hardware  accelerators. None of these was trained here.
Differs   Weight decay is on matrices alone and, of ptb_characters and enwik8, apart from Adam's
          moments; their learning rate stays, where the authors divide it by ten late in training.

`:smoke` is a tiny model and 20 steps; likewise `:enwik8,smoke`.
"""

from pathlib import Path

from ml_collections import ConfigDict

from lmjax import load_experiment
from lmjax.config import with_variants

RECIPE = Path(__file__).parent.parent / "ptb" / "awd_lstm.py"
OF_CHARACTERS = {
    "model.embedding_dropout": 0.0,
    "model.input_dropout": 0.1,
    "model.activation_penalty": 0.0,
    "model.temporal_penalty": 0.0,
    "data.batch_size": 128,
    "training.optimizer": "adamw",
    "training.averaging": "none",
}
VARIANTS = {
    "ptb": {},
    "wikitext2": {
        "model.input_dropout": 0.65,
        "model.layer_dropout": 0.2,
        "data.corpus": "wikitext2",
        "data.batch_size": 80,
        "training.duration": "750 epochs",
    },
    "ptb_characters": {
        **OF_CHARACTERS,
        "model.width": 1000,
        "model.embedding_width": 200,
        "model.dropout": 0.1,
        "data.tokenizer": "character",
        "data.length": 150,
        "training.learning_rate": 2e-3,
    },
    "enwik8": {
        **OF_CHARACTERS,
        "model.width": 1840,
        "model.layer_dropout": 0.1,
        "model.weight_dropout": 0.2,
        "data.tokenizer": "byte",
        "data.length": 200,
        "training.learning_rate": 1e-3,
        "training.duration": "50 epochs",
    },
    "smoke": {
        "model.width": 16,
        "model.embedding_width": 8,
        "data.corpus": "python_docs",
        "data.tokenizer": "byte",
        "data.batch_size": 4,
        "data.length": 16,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`ptb` with the VARIANTS in `arg`; raises UserError for another."""
    return with_variants(load_experiment(str(RECIPE)), arg, VARIANTS)
