"""char-rnn's recipe: an LSTM on the characters of Shakespeare.

Claim     None: karpathy/char-rnn publishes the recipe and no benchmark.
Command   lmjax train --config=experiments/shakespeare/char_lstm.py --workdir=runs/char_lstm
Hardware  2 CPU cores, under an hour (20,100 steps).
Expected  no published number to meet.
Differs   Validation is the last 10 % of the text, not 5 %. An embedding of width 128 stands before
          the first layer in place of one-hot input. RMSProp is Adam with beta1 = 0, which corrects
          the bias of its first steps. 1 is added to the forget gate's random bias, not put in its
          place.

`:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "smoke": {
        "model.width": 8,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe, or its `smoke` variant; raises UserError for another `arg`."""
    config = base_config("rnn")
    config.model.update(layers=2, width=128, initialization=0.08, forget_bias=1.0)
    config.data.update(
        corpus="tiny_shakespeare",
        tokenizer="character",
        batching="stream",
        resets="none",
        batch_size=50,
        length=50,
    )
    config.training.update(
        duration="50 epochs",
        optimizer="adamw",
        learning_rate=2e-3,
        schedule="epoch_decay",
        decay_factor=0.97,
        decay_after="9 epochs",
        beta1=0.0,
        beta2=0.95,
        clip_value=5.0,
    )
    config.evaluation.update(every="1000 steps", context="carried", rows=1)
    return with_variants(config, arg, VARIANTS)
