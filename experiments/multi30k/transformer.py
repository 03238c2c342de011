"""German to English on Multi30k with the encoder-decoder Transformer, three layers on each side.

Claim     BLEU 36.52 on test_2016_flickr of greedy translations, 9.0 M parameters
          (bentrevett/pytorch-seq2seq; Vaswani et al. 2017).
Command   lmjax train --config=experiments/multi30k/transformer.py --workdir=runs/transformer
          lmjax translate --workdir=runs/transformer --split=test --beam=5
          Also :pre_norm (Xiong et al. 2020), :t5 and :t5_v1_1 (Raffel et al. 2020).
Recipe    Width 256, 8 heads, feed-forward networks of 512, dropout of 0.1; Adam at 5e-4, batches of
          128 pairs, 10 epochs, norm of the gradient at most 1.
Changed   Subwords of one vocabulary for both sides, whose embeddings are also the output weights,
          and text as it is; theirs are lower-case words of spaCy that occur twice, and three
          tables. Sines and cosines, where theirs learn positions, and a warm-up of half an epoch.
Hardware  2 CPU cores, about an hour by its operations.
Expected  Above gru_attention of recurrent.py by some BLEU. BLEU of other subwords, case and
          tokenization are not to be compared with the published one by less than some points.

`:smoke` is a tiny model with this recipe and 12 steps; `:t5,smoke` likewise.
"""

from ml_collections import ConfigDict

from lmjax.config import ENCODER_DECODERS, base_config, with_variants

VARIANTS = {
    name: {f"model.{field}": value for field, value in fields.items()}
    for name, fields in ENCODER_DECODERS.items()
} | {
    "smoke": {
        "model.width": 16,
        "model.layers": 1,
        "model.heads": 2,
        "model.feed_forward_width": 32,
        "data.train_share": 0.02,
        "data.vocabulary_size": 300,
        "training.duration": "12 steps",
        "evaluation.every": "12 steps",
        "checkpoint.every": "12 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe with the VARIANTS in `arg`, Vaswani's order of norms without one of them."""
    config = base_config("encoder_decoder")
    config.model.update(layers=3, width=256, heads=8, feed_forward_width=512)
    config.data.update(
        corpus="multi30k",
        direction="de-en",
        tokenizer="bpe",
        vocabulary_size=8000,
        document_end=True,
        batching="documents",
        batch_size=128,
    )
    config.training.update(
        duration="10 epochs",
        learning_rate=5e-4,
        schedule="constant",
        warmup="5 percent",
        clip_norm=1.0,
    )
    config.evaluation.update(every="1 epochs", context="documents")
    config.evaluation.splits = ("validation", "test")
    config.checkpoint.every = "1 epochs"
    return with_variants(config, arg, VARIANTS)
