"""Every field of each model family, as `config.model` has them: its default, what it does.

What a family's default goes with in other sections is in `BESIDE` of `config.py`.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.own_models import is_own, own_config

BACKBONE = "backbone"  # the field that holds the name and the fields of another model
MODELS = {
    "ngram": dict(
        order=5,  # longest n-gram counted, in tokens
        smoothing="modified_kneser_ney",  # modified_kneser_ney | kneser_ney (one discount an order)
        sentence_boundary=False,  # contexts do not reach beyond the tokenizer's <eos>
    ),
    "rnn": dict(
        # elman | gru | lstm | coupled_lstm | capped_lstm, or a recurrent mixer of
        # lmjax/mixers/registry.py: peephole_lstm, layer_norm_lstm, projected_lstm, mogrifier_lstm,
        # qrnn
        cell="lstm",
        cell_options=dict(),  # of a cell that is a mixer; those not given are its defaults
        layers=2,
        width=256,  # hidden units of each layer
        embedding_width=0,  # 0: as wide as the hidden layers
        dropout=0.0,  # on non-recurrent connections (Zaremba et al. 2014)
        tied=False,  # output weights are the embedding's
        # softmax | adaptive_softmax | mixture_of_softmaxes, see lmjax/nn/output_registry.py
        output="softmax",
        output_options=dict(),  # those not given are its defaults
        initialization=0.0,  # uniform in +-this; 0: uniform in +-1/sqrt(width), as torch.nn does
        forget_bias=0.0,  # added to the LSTM's forget gate at the start
    ),
    "awd_rnn": dict(
        cell="lstm",  # as of rnn
        cell_options=dict(),  # of a cell that is a mixer; those not given are its defaults
        first_options=dict(),  # the same of the first layer alone, beside cell_options
        layers=3,
        width=256,  # hidden units of each layer, but the last if that has another width
        embedding_width=0,  # 0: as wide as the hidden layers
        last_width=0,  # of the last layer; 0: the embedding's if tied, else the other layers'
        tied=True,  # output weights are the embedding's
        output="softmax",  # as of rnn
        output_options=dict(),  # those not given are its defaults
        dropout=0.4,  # on what the softmax reads
        input_dropout=0.4,  # on the first layer's input
        layer_dropout=0.25,  # between layers
        embedding_dropout=0.1,  # on whole words
        embedding_masks="batch",  # batch (a word is dropped in all rows, or in none) | row
        weight_dropout=0.5,  # on weights from a layer's last output to its next
        recurrent_dropout=0.0,  # on a layer's last output (Gal and Ghahramani 2016)
        masks="tied",  # tied | per_gate (Gal and Ghahramani 2016): of the inputs of a layer's gates
        locked=True,  # masks are the same at each time; False: drawn anew (Zaremba et al. 2014)
        activation_penalty=2.0,  # AR: times the mean square of what the softmax reads
        temporal_penalty=1.0,  # TAR: times the mean square of its change from token to token
        initialization=0.0,  # uniform in +-this; 0: embedding in +-0.1, layers in +-1/sqrt(width)
        forget_bias=0.0,  # added to the LSTM's forget gate at the start
    ),
    "attention_rnn": dict(
        cell="lstm",  # as of rnn
        cell_options=dict(),  # of a cell that is a mixer; those not given are its defaults
        layers=1,
        width=256,  # hidden units of each layer
        embedding_width=0,  # 0: as wide as the hidden layers
        score="additive",  # additive | dot | general | key_value_predict
        span=16,  # how many past states are attended over
        dropout=0.0,  # on non-recurrent connections
        tied=False,  # output weights are the embedding's
        output="softmax",  # as of rnn
        output_options=dict(),  # those not given are its defaults
        initialization=0.0,  # uniform in +-this; 0: uniform in +-1/sqrt(width)
        forget_bias=0.0,  # added to the LSTM's forget gate at the start
    ),
    "seq2seq": dict(
        cell="lstm",  # elman | gru | lstm | coupled_lstm | capped_lstm, of encoder and decoder
        layers=1,  # of each
        width=256,  # hidden units of each layer and direction
        embedding_width=0,  # 0: as wide as the hidden layers
        bidirectional=False,  # each layer of the encoder reads both ways
        reverse_source=False,  # the source is read from its end on
        bridge="copy",  # from the encoder's last states to the decoder's first: copy | dense
        context="initial",  # where the source's summary goes without attention: initial (there
        # alone) | every_step (also to each step's input and output)
        attention="none",  # none | additive | dot | general | concat
        input_feeding=False,  # dot, general, concat: each step reads the last one's output
        readout_width=0,  # of a maxout layer before the softmax; 0: none
        dropout=0.0,  # on embeddings and between layers
        tied=False,  # output weights are the target embedding's
        output="softmax",  # as of rnn
        output_options=dict(),  # those not given are its defaults
        initialization=0.0,  # uniform in +-this; 0: uniform in +-1/sqrt(width)
        forget_bias=0.0,  # added to the LSTM's forget gate at the start
    ),
    "bag_of_ngrams": dict(
        order=2,  # of its n-grams, tokens of the source; 1 and 2 are meant by 2
        features="tf_idf",  # counts | presence | tf_idf
        least_documents=1,  # of the training text, that must have an n-gram
        inverse_penalty=1.0,  # of the squared weights: scikit-learn's C
    ),
    "classifier": dict(
        # Any family that gives vectors of tokens, with its own fields: bert, rnn, transformer, ...
        backbone=dict(name="bert"),
        pooling="mean",  # mean | max | last | first (the class token, through a pooler) | attention
        head_width=0,  # of a tanh layer before the last one; 0: none
        # Of pairs: none (read together) | concatenated (read apart, as are all below; u, v, |u - v|
        # and u v go into the head) | cosine (of u and v, which is the number told)
        siamese="none",
        lowest=0.0,  # regression: what number an output of 0 is
        highest=1.0,  # regression: and of 1
        dropout=0.1,  # on what the head reads; the backbone's is apart
        initialization=0.02,  # deviation of the normal draw of the head
    ),
    "span_finder": dict(
        backbone=dict(name="bert"),  # as of classifier, but none that leaves its own place out
        dropout=0.1,  # on what the head reads; the backbone's is apart
        initialization=0.02,  # deviation of the normal draw of the head
    ),
    "bilstm": dict(
        cell="lstm",  # elman | gru | lstm | coupled_lstm | capped_lstm
        layers=2,  # of each direction
        width=256,  # hidden units of each layer and direction
        embedding_width=0,  # 0: as wide as the hidden layers
        dropout=0.0,  # on non-recurrent connections
        initialization=0.0,  # uniform in +-this; 0: uniform in +-1/sqrt(width)
        forget_bias=0.0,  # added to the LSTM's forget gate at the start
    ),
    "bert": dict(
        layers=4,
        width=128,
        heads=4,
        feed_forward_width=0,  # 0: four times the width
        context_length=128,  # tokens
        token_types=2,  # texts of a row that are told apart
        norm_epsilon=1e-12,  # added to the variance
        dropout=0.1,  # on embeddings, attention weights and residual branches
        next_sentence=False,  # a pooler and a head that tell whether a pair's second text follows
        initialization=0.02,  # deviation of the normal draw
        dtype="float32",  # of activations: float32 | bfloat16; parameters are float32
        remat="none",  # none | block | products: what the backward pass computes anew
        scan_layers=False,  # compile the repeated layers once; parameters are stacked
    ),
    "transformer": dict(
        layers=4,
        width=128,
        heads=4,
        feed_forward_width=0,  # 0: four times the width
        context_length=256,  # tokens; no limit where neither positions nor mixers set one
        norm="layer_norm",  # layer_norm | rms_norm
        # Added to embeddings: learned (ends at context_length) | sinusoidal; of attention's scores,
        # with options in mixers: rotary | alibi | relative; none
        position="learned",
        norm_epsilon=1e-5,  # added to the variance
        norm_order="pre",  # pre | post (after what is added to) | both (before and after a mixer)
        # gelu (approximated by tanh, GPT-2's) | gelu_exact (nanoGPT's) | relu | swish |
        # squared_relu | geglu (also gated_gelu) | swiglu | mixture_of_experts | none (a layer is
        # its mixer)
        feed_forward="gelu",
        feed_forwards=(),  # one for each mixer of the pattern; empty: feed_forward for all
        feed_forward_options=dict(),  # by name; those not given are the defaults
        pattern=("attention",),  # mixers of the layers, over and over, see lmjax/mixers/registry.py
        short_convolution=0,  # taps of one between a norm and its mixer; 0: none
        mixers=dict(),  # their options by name; those not given are the defaults of the mixer
        bias=False,  # biases in the dense layers and norms
        dropout=0.0,  # on embeddings, attention weights and residual branches
        scaled_embedding=False,  # what is read of it, by sqrt(width)
        embedding_norm=False,  # one more norm, of what the first layer reads
        tied=True,  # output weights are the embedding's
        output="softmax",  # as of rnn
        output_options=dict(),  # those not given are its defaults
        logits_cap=0.0,  # c: logits are c tanh(logits / c) (Gemma 2); 0: as they are
        initialization=0.02,  # deviation of the normal draw; GPT-2's
        dtype="float32",  # of activations: float32 | bfloat16; parameters are float32
        remat="none",  # none | block | products: what the backward pass computes anew
        scan_layers=False,  # compile the repeated layers once; parameters are stacked
    ),
    "encoder_decoder": dict(  # see also ENCODER_DECODERS
        layers=3,  # of the encoder
        decoder_layers=0,  # 0: as many as the encoder has
        width=256,
        heads=4,
        head_width=0,  # of queries, keys and values; 0: width / heads
        feed_forward_width=0,  # 0: four times the width
        context_length=256,  # the most tokens of a source, and of a target
        norm="layer_norm",  # layer_norm | rms_norm
        norm_epsilon=1e-5,  # added to the variance
        norm_order="post",  # post (after what is added) | pre
        position="sinusoidal",  # learned | sinusoidal | none | relative (a bias of scores)
        position_buckets=32,  # relative: of distances
        position_farthest=128,  # relative: tokens; from here on all distances are one
        scaled_scores=True,  # of attention, by 1/sqrt(head width)
        feed_forward="relu",  # relu | swish | gelu | gelu_exact | squared_relu | geglu | swiglu
        bias=True,  # biases in the dense layers and norms
        dropout=0.1,  # on embeddings, attention weights and residual branches
        shared_embedding=True,  # sources and targets have one vocabulary and one table
        scaled_embedding=True,  # what is read of it, by sqrt(width)
        tied=True,  # output weights are the target embedding's
        scaled_logits=False,  # by 1/sqrt(width); only where tied
        logits_bias=False,  # a learned number for each token
        # Deviation of the normal draw; 0: matrices uniform by their sizes (Glorot and Bengio 2010),
        # embeddings such that what is read of them has deviation one.
        initialization=0.0,
        dtype="float32",  # of activations: float32 | bfloat16; parameters are float32
    ),
    "word_vectors": dict(
        width=100,
        biases=False,  # one for each vector, as GloVe has them
        summed=False,  # the vectors to be used are sums of both tables, as GloVe's; else the first
    ),
}

# Fields of `encoder_decoder` that make of it what a paper is known for; sizes are apart.
_T5 = dict(
    norm="rms_norm",
    norm_epsilon=1e-6,
    norm_order="pre",
    position="relative",
    scaled_scores=False,
    bias=False,
    scaled_embedding=False,
)
ENCODER_DECODERS = {
    "vaswani": dict(norm_order="post"),  # Vaswani et al. 2017
    "pre_norm": dict(norm_order="pre"),  # Xiong et al. 2020
    "t5": dict(**_T5, scaled_logits=True),  # Raffel et al. 2020
    "t5_v1_1": dict(**_T5, feed_forward="gated_gelu", tied=False),
}

# Fields of models that hold options by the name of what they are of.
OPTIONS = ("mixers", "feed_forward_options", "cell_options", "first_options", "output_options")


def model_config(name: str) -> ConfigDict:
    """The default fields of one model family, or of a class outside the package.

    Such a class is named `FILE.py:Class` or `module:Class` and is executed. Raises UserError for an
    unknown `name`, and for a class that cannot be a model.
    """
    if is_own(name):
        return ConfigDict(own_config(name))
    if name not in MODELS:
        raise UserError(
            f"unknown model {name!r}: {nearest(name, MODELS)}; FILE.py:Class names one of your own"
        )
    fields = ConfigDict(dict(name=name, **MODELS[name]))
    if BACKBONE in fields:
        fields[BACKBONE] = model_config(fields[BACKBONE].name)
    return fields


def sections_of(model: Mapping[str, Any] | ConfigDict) -> dict[str, Any]:
    """The sections of a configuration that name a model with its fields, by their own names.

    `config.model`, which is given, and its backbone, if it has one.
    """
    backbone = model.get(BACKBONE)
    within = {} if not isinstance(backbone, Mapping | ConfigDict) else sections_of(backbone)
    return {"model": model} | {
        name.replace("model", f"model.{BACKBONE}", 1): section for name, section in within.items()
    }
