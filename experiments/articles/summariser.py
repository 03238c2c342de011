"""A tutorial's summariser: an LSTM reads a text, another one writes what it says in short.

Claim     None: the tutorial's program does not run, and no number is given.
Wrong     As printed, nearly every line fails. The data, reviews of films with a mark for good or
          bad, have no summaries; they come as numbers, and are taken for words; the half that is
          kept for testing is taken for the vocabulary; the loops that would number the words
          stand in the wrong order. The encoder's layer gives its output and states, of which one
          variable is made and a field asked that it lacks. The decoder reads the numbers of tokens
          without an embedding. Lengths and labels are not defined; the batches copy nothing; the
          loss expects a row of the vocabulary for each target. Mended so far, the same sequences
          would be input and target, unshifted, so that nothing is to be learned; and a summary
          would be made of the text itself in place of the summary so far, by one pass over
          probabilities that are then taken for words.
Command   lmjax train --config=experiments/articles/summariser.py --workdir=runs/summariser
          lmjax translate --workdir=runs/summariser --split=test
Here      Embeddings of 100, one LSTM of 128 units each, Adam at 1e-3, batches of 64, 10 epochs, as
          printed. The decoder begins with the encoder's states and is trained on the true summary,
          each token from those before it; it writes token by token. Texts are abstracts of papers,
          summaries what their authors say of them in a sentence (SciTLDR-A); byte pairs of one
          vocabulary.
Hardware  2 CPU cores, ten minutes (310 steps).
Measured  Seed 0, test: perplexity 423.8 a token, 1.823 bits per byte given the abstract; BLEU 0.4,
          chrF 12.6 (beam of 5). It runs, and says little: of 590 of the 618 abstracts the same,
          "We propose a a novel-based learning of a learning of a learning."; 1,992 pairs and 310
          steps teach the manner of such a sentence, not what an abstract is about.

`:attention` looks at all of the abstract at each step (Bahdanau et al. 2015). `:smoke` is a tiny
model and 12 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "attention": {"model.attention": "additive"},
    "smoke": {
        "model.width": 8,
        "model.embedding_width": 8,
        "data.train_share": 0.1,
        "data.vocabulary_size": 300,
        "data.batch_size": 8,
        "data.length": 200,
        "data.source_length": 2000,
        "training.duration": "12 steps",
        "evaluation.every": "12 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("seq2seq")
    config.model.update(cell="lstm", layers=1, width=128, embedding_width=100)
    config.data.update(
        corpus="scitldr",
        tokenizer="bpe",
        vocabulary_size=4000,
        document_end=True,
        batching="documents",
        batch_size=64,
        length=80,
        source_length=500,
    )
    config.training.update(
        duration="10 epochs", learning_rate=1e-3, schedule="constant", clip_norm=1.0
    )
    config.evaluation.update(every="1 epochs", context="documents")
    config.evaluation.splits = ("validation", "test")
    return with_variants(config, arg, VARIANTS)
