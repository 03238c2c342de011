"""The variational LSTM on the Penn Treebank: masks of dropout that stay the same along time.

Claim     Validation / test perplexity (Gal and Ghahramani 2016, table 1), large model of Zaremba et
          al. (2014), a mask for each gate ("untied weights"): 77.9 +- 0.3 / 75.2 +- 0.2, and 73.4
          +- 0.0 by Monte Carlo dropout; one for all gates (`tied`): 77.3 +- 0.2 / 75.0 +- 0.1.
Command   lmjax train --config=experiments/ptb/variational_lstm.py --workdir=runs/variational
          lmjax evaluate --workdir=runs/variational --split=test --mc_dropout=100
          Variants: tied; small (200 units).
Rule      That of zaremba.py:large but for dropout and weight decay, and the rate falls after 10
          epochs (yaringal/BayesianRNN, main_new_dropout_SOTA_v3.lua).
Hardware  2 CPU cores would take more than a day; it has not been run here.
Differs   Weight decay is multiplied by the learning rate, and on matrices alone. Monte Carlo masks
          are drawn anew every 35 tokens, as in training; the authors' stay the same for the whole
          test text, and do not drop words.

`:smoke` is a tiny model with that recipe and 20 steps; likewise `:tied,smoke`.
"""

from pathlib import Path

from ml_collections import ConfigDict

from lmjax import load_experiment
from lmjax.config import base_config, with_variants

ZAREMBA = Path(__file__).parent / "zaremba.py"
VARIANTS = {
    "tied": {"model.masks": "tied"},
    "small": {"model.width": 200, "model.initialization": 0.1},
    "smoke": {
        "model.width": 8,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The large model's recipe with the VARIANTS in `arg`; raises UserError for another."""
    config, zaremba = base_config("awd_rnn"), load_experiment(f"{ZAREMBA}:large")
    for section in ("data", "training", "evaluation", "checkpoint"):
        config[section].update(zaremba[section])
    config.model.update(layers=2, width=1500, tied=False, initialization=0.04, masks="per_gate")
    config.model.update(embedding_dropout=0.3, embedding_masks="row", recurrent_dropout=0.3)
    config.model.update(input_dropout=0.5, layer_dropout=0.5, dropout=0.5, weight_dropout=0.0)
    config.model.update(activation_penalty=0.0, temporal_penalty=0.0)
    config.training.update(weight_decay=1e-7, decay_after="10 epochs")
    return with_variants(config, arg, VARIANTS)
