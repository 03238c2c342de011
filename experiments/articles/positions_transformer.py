"""A tutorial's Transformer: embeddings of tokens and of positions, layers of attention, a softmax.

Claim     None: the tutorial gives no sizes, trains nothing and gives no number.
Wrong     As printed, the forward pass ends with an error: tokens are replaced by their embeddings,
          and the positions are then looked up by these floating-point numbers; their table is as
          long as the vocabulary, not as the context. The layers are those of an encoder and a
          decoder, called with the width of the feed-forward network where the heads belong and with
          the heads where the decoder's depth does; the mask of the padding is given as the text to
          be decoded. No mask hides what comes later, so that each token could be copied from the
          input; rows and time are exchanged; the loss expects the classes on another axis. The loop
          never looks at its batch, and the targets are not defined.
Command   lmjax train --config=experiments/articles/positions_transformer.py
          --workdir=runs/positions_transformer
Here      A decoder alone: causal attention, learned positions by place in the row, an output layer
          of its own, Adam at its default 1e-3, after a warm-up. Sizes are ours: 4 layers of width
          128 with 4 heads. Norms stand before what is added, theirs after it. Text and byte pairs
          are ours, and the same as in recurrent_generator.py.
Hardware  2 CPU cores, five minutes (207 steps).
Measured  2.482 bits per byte on validation with seed 0, perplexity 62.2 a token, and still falling
          when the epoch ends.

`:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "smoke": {
        "model.layers": 1,
        "model.width": 8,
        "model.heads": 2,
        "data.train_share": 0.05,
        "data.vocabulary_size": 300,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe, or its `smoke` variant; raises UserError for another `arg`."""
    config = base_config("transformer")
    config.model.update(
        layers=4,
        width=128,
        heads=4,
        context_length=128,
        position="learned",
        feed_forward="relu",
        bias=True,
        tied=False,
    )
    config.data.update(corpus="python_docs", tokenizer="bpe", vocabulary_size=1024, length=128)
    config.training.update(
        duration="1 epochs", learning_rate=1e-3, schedule="constant", warmup="5 percent"
    )
    return with_variants(config, arg, VARIANTS)
