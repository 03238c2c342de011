"""AWD-QRNN: the recipe of AWD-LSTM with quasi-recurrent layers, the first of which sees two tokens.

Claim     Merity, Keskar and Socher (2018b) and the authors' repository (salesforce/awd-lstm-lm),
          test perplexities: ptb, 4 layers of 1,550, 24 M parameters: 58.3, fine-tuned 56.7;
          wikitext2, 33 M: 66.8 and 65.9; wikitext103, 4 layers of 2,500, 151 M: 33.
          Computed here: 24.0 M (10,000 words), 33.3 M (33,278 words), 153.9 M (267,735).
Command   lmjax train --config=experiments/models/awd_qrnn.py:ptb --workdir=runs/awd_qrnn
          WikiText-103 is not among the package's corpora: --config.data.corpus=text
          --config.data.files=DIR.
Hardware  accelerators. None of these was trained here.
Differs   As experiments/models/awd_lstm.py; of wikitext103, the softmax is one whole table, where
          the authors' is adaptive, and the learning rate stays.

`:smoke` is a tiny model and 20 steps; likewise `:wikitext2,smoke`.
"""

from pathlib import Path

from ml_collections import ConfigDict

from lmjax import load_experiment
from lmjax.config import with_variants

RECIPE = Path(__file__).parent.parent / "ptb" / "awd_lstm.py"
VARIANTS = {
    "ptb": {},
    "wikitext2": {
        "model.layer_dropout": 0.2,
        "data.corpus": "wikitext2",
        "data.batch_size": 40,
        "training.clip_norm": 0.25,
        "training.duration": "500 epochs",
    },
    "wikitext103": {
        "model.width": 2500,
        "model.dropout": 0.1,
        "model.input_dropout": 0.1,
        "model.layer_dropout": 0.1,
        "model.embedding_dropout": 0.0,
        "model.weight_dropout": 0.0,
        "model.activation_penalty": 0.0,
        "model.temporal_penalty": 0.0,
        "data.batch_size": 60,
        "data.length": 140,
        "training.optimizer": "adamw",
        "training.learning_rate": 1e-3,
        "training.weight_decay": 0.0,
        "training.averaging": "none",
        "training.duration": "14 epochs",
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
    config = load_experiment(str(RECIPE))
    config.model.update(cell="qrnn", cell_options={"window": 1}, first_options={"window": 2})
    config.model.update(layers=4, width=1550, layer_dropout=0.3, weight_dropout=0.1)
    config.training.update(duration="550 epochs", clip_norm=0.2)
    return with_variants(config, arg, VARIANTS)
