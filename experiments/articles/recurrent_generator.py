"""A tutorial's text generator: two Elman layers of 512 units with dropout.

Claim     None: the tutorial trains nothing and gives no number. It speaks of attention; its program
          has none.
Wrong     As printed, the program ends with a NameError: the vocabulary, the batches, the labels and
          the number of epochs are nowhere defined, and the labels would have been the same for
          every batch. With these in place, the loss refuses its input, since it expects the classes
          on the second axis and gets them on the third. Mended so far, it would train each batch
          from a state of zeros, never turn dropout off, never clip the gradient of a recurrence
          and score nothing that it has not been trained on.
Command   lmjax train --config=experiments/articles/recurrent_generator.py
          --workdir=runs/recurrent_generator
Here      Embeddings of 256, dropout of 0.5 and Adam at 1e-3 as printed. Targets are the next
          tokens; the state is carried from batch to batch; the gradient's norm is at most 1;
          validation is text of its own, read without dropout. Text and byte pairs are ours.
Hardware  2 CPU cores, four minutes (207 steps).
Measured  2.794 bits per byte on validation with seed 0, perplexity 104.6 a token, and still falling
          when the epoch ends.

`:lstm` has LSTM cells in place of Elman's. `:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "lstm": {"model.cell": "lstm"},
    "smoke": {
        "model.width": 8,
        "model.embedding_width": 8,
        "data.train_share": 0.05,
        "data.vocabulary_size": 300,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("rnn")
    config.model.update(cell="elman", layers=2, width=512, embedding_width=256, dropout=0.5)
    config.data.update(corpus="python_docs", tokenizer="bpe", vocabulary_size=1024)
    config.training.update(
        duration="1 epochs", learning_rate=1e-3, schedule="constant", clip_norm=1.0
    )
    return with_variants(config, arg, VARIANTS)
