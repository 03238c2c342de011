"""German to English on Multi30k with recurrent encoder-decoders: LSTM, GRU with context, attention.

Claim     BLEU on test_2016_flickr of greedy translations (notebooks of bentrevett/pytorch-seq2seq),
          each with embeddings of 256 and 512 units:
          13.76  lstm, 2 layers, source reversed (Sutskever et al. 2014);
          20.61  gru_context, whose steps read the source's summary (Cho et al. 2014);
          28.30  gru_attention, over a bidirectional encoder (Bahdanau et al. 2015).
Command   lmjax train --config=experiments/multi30k/recurrent.py:gru_attention
          --workdir=runs/gru_attention
          lmjax translate --workdir=runs/gru_attention --split=test --beam=5
          and the same with lstm and gru_context; no argument is lstm.
Recipe    Adam at 1e-3, batches of 128 pairs, 10 epochs, dropout of 0.5 on embeddings and between
          layers, norm of the gradient at most 1.
Changed   Subwords of one vocabulary for both sides; theirs are words of spaCy that occur twice.
          Each token is predicted from the true ones before it; theirs from their own half of the
          time. Before the softmax, the two models with context have the maxout layer of their
          papers; theirs none, which takes twice the time.
Hardware  2 CPU cores, about an hour each by their operations; `:short` a third of it on one.
Measured  With `:gru_attention,short` and the like (256 units, 5,000 subwords), seed 0, greedy and
          by beam 5: 12.82 and 13.21 (lstm), 22.73 and 25.46 (gru_context), 37.04 and 38.88
          (gru_attention); see experiments/results/multi30k.md. The full sizes were not run.
          BLEU of other tokens is not to be compared with the published by less than some points.

`:gru_attention,en_de` writes German, `:gru_attention,french` French to fra_eng's short sentences;
neither was measured. `:gru_attention,short` is half as wide and has fewer subwords;
`:gru_attention,smoke` is a tiny model and 12 steps; likewise the others.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

GRU = {"model.cell": "gru", "model.layers": 1, "model.readout_width": 256}
MODELS = {
    "lstm": {"model.layers": 2, "model.reverse_source": True},
    "gru_context": {**GRU, "model.context": "every_step"},
    "gru_attention": {
        **GRU,
        "model.attention": "additive",
        "model.bidirectional": True,
        "model.bridge": "dense",
    },
}
LANGUAGES = {
    "en_de": {"data.direction": "en-de"},
    "french": {"data.corpus": "fra_eng", "data.direction": "en-fr"},
}
VARIANTS = {
    **MODELS,
    **LANGUAGES,
    "short": {"model.width": 256, "data.vocabulary_size": 5000},
    "smoke": {
        "model.width": 8,
        "model.embedding_width": 8,
        "model.readout_width": 0,
        "data.train_share": 0.02,
        "data.vocabulary_size": 300,
        "training.duration": "12 steps",
        "evaluation.every": "12 steps",
        "checkpoint.every": "12 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`, of lstm without one; raises UserError for another."""
    config = base_config("seq2seq")
    config.model.update(width=512, embedding_width=256, dropout=0.5, initialization=0.08)
    config.data.update(
        corpus="multi30k",
        direction="de-en",
        cleaning=("lowercase",),
        tokenizer="bpe",
        vocabulary_size=8000,
        document_end=True,
        batching="documents",
        batch_size=128,
    )
    config.training.update(
        duration="10 epochs", learning_rate=1e-3, schedule="constant", clip_norm=1.0
    )
    config.evaluation.update(every="1 epochs", context="documents")
    config.evaluation.splits = ("validation", "test")
    config.checkpoint.every = "1 epochs"
    name = "" if set(arg.split(",")) & set(MODELS) else "lstm,"
    return with_variants(config, name + arg, VARIANTS)
