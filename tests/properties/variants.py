"""Small models of every registered family, one for each choice that changes what it computes."""

from types import SimpleNamespace

from lmjax.config import model_config
from lmjax.model_defaults import ENCODER_DECODERS
from lmjax.models.registry import build_model

VOCABULARY, SOURCE_VOCABULARY = 7, 8
SMALL = {
    "ngram": dict(order=3),
    "rnn": dict(width=6, layers=2),
    "attention_rnn": dict(width=6, layers=1, span=3),
    "awd_rnn": dict(width=6, layers=2),
    "seq2seq": dict(width=6, layers=1),
    "bag_of_ngrams": dict(),
    "classifier": dict(),
    "span_finder": dict(),
    "bilstm": dict(width=6, layers=1),
    "bert": dict(width=8, heads=2, layers=2, context_length=16),
    "encoder_decoder": dict(width=8, heads=2, layers=1, context_length=16),
    "transformer": dict(width=8, heads=2, layers=2, context_length=16),
    "word_vectors": dict(width=4),
}
CHOICES = {
    "ngram": [
        dict(smoothing="kneser_ney"),
        dict(smoothing="modified_kneser_ney"),
        dict(sentence_boundary=True),
    ],
    "rnn": [
        dict(cell="elman"),
        dict(cell="gru"),
        dict(cell="lstm"),
        dict(cell="lstm", tied=True, forget_bias=1.0),
        dict(cell="mogrifier_lstm", cell_options={"rounds": 2}, embedding_width=4),
        dict(output="adaptive_softmax", output_options={"cutoffs": "3,5", "chunk": 2}),
    ],
    "attention_rnn": [
        dict(score="additive"),
        dict(score="dot", cell="gru"),
        dict(score="general", cell="elman", layers=2),
        dict(score="key_value_predict"),
    ],
    "awd_rnn": [
        dict(embedding_width=4, masks="per_gate", last_width=5, output="mixture_of_softmaxes"),
    ],
    "word_vectors": [dict(), dict(biases=True, summed=True)],
    "seq2seq": [
        dict(reverse_source=True, layers=2),
        dict(context="every_step", cell="gru", readout_width=4, embedding_width=4, tied=True),
        dict(attention="additive", cell="gru", bidirectional=True, bridge="dense", layers=2),
        dict(attention="general", bidirectional=True, bridge="dense", input_feeding=True, layers=2),
        dict(attention="concat", cell="elman", output_options={"chunk": 3}),
    ],
    "bag_of_ngrams": [dict(order=3), dict(features="presence", least_documents=8)],
    "classifier": [
        dict(backbone="bert", pooling="mean", head_width=5),
        dict(backbone="bert", pooling="first"),
        dict(backbone="rnn", pooling="last"),
        dict(backbone="transformer", pooling="attention", siamese="concatenated"),
        dict(backbone="bilstm", pooling="max"),
    ],
    "span_finder": [dict(backbone="bert"), dict(backbone="rnn"), dict(backbone="transformer")],
    "bilstm": [dict(layers=2), dict(cell="gru", embedding_width=4)],
    "bert": [dict(next_sentence=True), dict(scan_layers=True, remat="block")],
    "encoder_decoder": [
        dict(**ENCODER_DECODERS["vaswani"], decoder_layers=2, shared_embedding=False),
        dict(**ENCODER_DECODERS["pre_norm"], position="learned", logits_bias=True),
        dict(**ENCODER_DECODERS["t5"], head_width=3, position_buckets=8, position_farthest=6),
        dict(**ENCODER_DECODERS["t5_v1_1"], shared_embedding=False),
    ],
    "transformer": [
        dict(),
        dict(bias=True, tied=False, position="alibi", output_options={"chunk": 3}),
        dict(position="sinusoidal", pattern=("recurrent", "attention")),
        dict(layers=4, pattern=("recurrent", "attention"), remat="block", scan_layers=True),
        dict(position="none", pattern=("mamba", "sliding_window")),
        dict(position="none", pattern=("recurrent",), mixers={"recurrent": {"cell": "gru"}}),
        dict(
            norm_order="both",
            short_convolution=3,
            feed_forwards=("mixture_of_experts", "none"),
            pattern=("attention", "mamba"),
        ),
        dict(
            position="rotary", pattern=("sliding_window",), mixers={"sliding_window": {"window": 3}}
        ),
    ],
}


def variants():
    """(label, family, changed fields) of each small model."""
    for family, choices in CHOICES.items():
        for choice in choices:
            label = "-".join([family, *(str(value) for value in choice.values())])
            yield label, family, {**SMALL[family], **choice}


def build(family, changes):
    """The model of a family with changed fields, for a vocabulary whose token 0 is <eos>.

    A backbone is the small model of its family.
    """
    config, changes = model_config(family), dict(changes)
    if backbone := changes.pop("backbone", None):
        config.backbone = model_config(backbone)
        config.backbone.update(SMALL[backbone])
    config.update(changes)
    special = {"class": VOCABULARY - 1, "separator": VOCABULARY - 2}
    tokenizer = SimpleNamespace(
        vocabulary_size=VOCABULARY, end_id=0, special_id=special.get, ids_by_frequency=True
    )
    apart = SimpleNamespace(vocabulary_size=SOURCE_VOCABULARY, special_id=special.get)
    tokenizer.target = tokenizer
    tokenizer.source = tokenizer if config.get("shared_embedding", False) else apart
    return build_model(config, tokenizer)
