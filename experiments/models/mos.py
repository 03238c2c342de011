"""AWD-LSTM-MoS, the AWD-LSTM with a mixture of softmaxes, in the sizes of its paper.

Claim     Yang, Dai, Salakhutdinov and Cohen (2018), table 1: ptb, 22 M parameters, validation /
          test perplexity 58.08 / 55.97, 56.54 / 54.44 after fine-tuning, 48.33 / 47.69 with dynamic
          evaluation; table 2: wikitext2, 35 M, 66.01 / 63.33, 63.88 / 61.45 and 42.41 / 40.68.
          Computed here, with one bias for each gate where the authors have two: 21.5 M (10,000
          words), 34.9 M (33,278 words).
Command   lmjax train --config=experiments/models/mos.py --workdir=runs/mos
          lmjax evaluate --workdir=runs/mos --split=test --dynamic=rms
Hardware  accelerators. None of these was trained here.
Differs   As experiments/ptb/awd_lstm.py; and projection and prior of the mixture are drawn in the
          same range as the embedding.

`:smoke` is a tiny model and 20 steps; likewise `:wikitext2,smoke`.
"""

from pathlib import Path

from ml_collections import ConfigDict

from lmjax import load_experiment
from lmjax.config import with_variants

RECIPE = Path(__file__).parent.parent / "ptb" / "awd_lstm.py"
MIXTURE = {"experts": 15, "dropout": 0.29, "chunk": 128}
VARIANTS = {
    "ptb": {},
    "wikitext2": {
        "model.width": 1150,
        "model.last_width": 650,
        "model.embedding_width": 300,
        "model.input_dropout": 0.55,
        "model.layer_dropout": 0.2,
        "data.corpus": "wikitext2",
        "data.batch_size": 15,
        "training.learning_rate": 15.0,
    },
    "smoke": {
        "model.width": 32,
        "model.last_width": 24,
        "model.embedding_width": 16,
        "model.output_options": {"experts": 3, "dropout": 0.29, "chunk": 32},
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
    config.model.update(width=960, last_width=620, embedding_width=280, layer_dropout=0.225)
    config.model.update(output="mixture_of_softmaxes", output_options=MIXTURE)
    config.data.batch_size = 12
    config.training.update(learning_rate=20.0, duration="1000 epochs")
    return with_variants(config, arg, VARIANTS)
