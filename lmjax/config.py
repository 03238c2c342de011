"""Every field of a configuration: its default, its unit, one line on what it does.

`base_config(model)` returns a locked `ConfigDict`; an experiment file changes a few fields of it.
Durations are text: `2000 steps`, `3 epochs`, `1e6 tokens`, or `10 percent` of the whole training.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.own_models import is_own, own_config

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
    "classifier": dict(
        layers=4,
        width=128,
        heads=4,
        feed_forward_width=0,  # 0: four times the width
        context_length=128,  # tokens of a source, with the class token if there is one
        token_types=2,  # as of the model that it may begin with
        norm_epsilon=1e-12,  # added to the variance
        dropout=0.1,  # on embeddings, attention weights, residual branches and what is pooled
        pooling="mean",  # mean | first (the class token, through a pooler)
        initialization=0.02,  # deviation of the normal draw
        dtype="float32",  # of activations: float32 | bfloat16; parameters are float32
        remat="none",  # none | block | products: what the backward pass computes anew
        scan_layers=False,  # compile the repeated layers once; parameters are stacked
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

NOISE = dict(
    window=5,  # words to each side, at most; drawn for each word
    negatives=5,  # noise words for each pair
    noise_words=64,  # drawn for each row, which share the weight of the negatives
    noise_power=0.75,  # of a word's count, in its probability as noise
    subsampling=1e-3,  # share of the text above which a word is left out at random; 0: none is
)

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

# Fields that configurations of before lack in their run directories, with what they are in them.
LATER = {
    "data.folds": 0,
    "data.fold": 0,
    "data.length_deviation": 0.0,
    "data.task": "",
    "data.task_options": {},
    "data.examples": 0,
    "model.cell_options": {},
    "model.feed_forward_options": {},
    "model.feed_forwards": [],
    "model.last_width": 0,
    "model.logits_cap": 0.0,
    "model.norm_epsilon": 1e-5,
    "model.norm_order": "pre",
    "model.output": "softmax",
    "model.output_options": {},
    "model.scaled_embedding": False,
    "model.short_convolution": 0,
    "training.averaging": "none",
    "training.averaging_patience": 5,
}

# Fields of models that hold options by the name of what they are of.
OPTIONS = ("mixers", "feed_forward_options", "cell_options", "first_options", "output_options")

# What is predicted of which text: the fields of each objective.
OBJECTIVES = {
    "causal": dict(),  # each token from those before it
    "masked": dict(  # hidden tokens from those on both sides of them (Devlin et al. 2019)
        share=0.15,  # of each row's tokens that are hidden
        mask_share=0.8,  # of those that are shown as the mask
        random_share=0.1,  # of those that are shown as any token; the others as they are
        whole_words=False,  # hide all tokens of a word, or none
        next_sentence=False,  # predict, too, whether a pair's second text follows the first
        evaluation="complementary",  # complementary | pseudo_likelihood (one token at a time)
        evaluation_passes=7,  # complementary: in which each target is hidden once
        evaluation_seed=0,  # complementary: of what is hidden in which pass
    ),
    "span_corruption": dict(  # spans left out of a text, from the others (Raffel et al. 2020)
        noise_density=0.15,  # of the tokens that are left out
        mean_span=3.0,  # tokens of a span
        evaluation_seed=0,  # of what is left out in evaluation
    ),
    "classification": dict(),  # the label of a source
    "answers": dict(),  # those of a generated task
    "both_directions": dict(),  # each token from those before it, and from those after it
    "prefix": dict(),  # a target from its source, read before it in the same row
    "seq2seq": dict(),  # a target from its source, read by an encoder
    "skip_gram": NOISE,  # from each word those near it, told from noise words
    "cbow": NOISE,  # each word from those near it, told from noise words
    "glove": dict(  # how often two words stand near each other
        window=10,  # words to each side
        x_max=100.0,  # the count from which on a pair has the weight 1
        alpha=0.75,  # the power of the count in the weights below
    ),
}


# Fields of other sections whose default goes with the model.
OF_PAIRS = {
    "objective.name": "seq2seq",
    "data.corpus": "multi30k",
    "data.document_end": True,
    "data.batching": "documents",
    "evaluation.context": "documents",
}
OF_HIDDEN = {
    "objective.name": "masked",
    "data.special_tokens": ("mask",),
    "data.batching": "windows",
    "evaluation.context": "windowed",
}
BESIDE = {
    "classifier": {
        "objective.name": "classification",
        "data.corpus": "sst2",
        "data.tokenizer": "word",  # of labels
        "data.source_tokenizer": "bpe",
        "data.source_length": 127,  # and a class token
        "data.batching": "documents",
        "evaluation.context": "documents",
    },
    "bilstm": {
        "objective.name": "both_directions",
        "data.batching": "windows",
        "evaluation.context": "windowed",
    },
    "bert": OF_HIDDEN,
    # Its learned positions end, so no state is carried for ever.
    "transformer": {"data.batching": "windows", "evaluation.context": "windowed"},
    "seq2seq": OF_PAIRS,
    "encoder_decoder": OF_PAIRS,
    "word_vectors": {
        "objective.name": "skip_gram",
        "data.tokenizer": "word",
        "data.batching": "windows",
        "evaluation.context": "windowed",
    },
}


def objective_config(name: str) -> ConfigDict:
    """The default fields of one objective; raises UserError for an unknown `name`."""
    if name not in OBJECTIVES:
        raise UserError(f"unknown objective {name!r}: {nearest(name, OBJECTIVES)}")
    return ConfigDict(dict(name=name, **OBJECTIVES[name]))


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
    return ConfigDict(dict(name=name, **MODELS[name]))


def base_config(model: str = "transformer") -> ConfigDict:
    """A complete, locked configuration for one model, named as in `model_config`."""
    config = ConfigDict()
    config.seed = 0  # every random draw is a function of (seed, purpose, step)
    config.model = model_config(model)
    config.data = data = ConfigDict()
    data.corpus = "python_docs"  # see `lmjax data`; of pairs: multi30k, fra_eng, scitldr, parallel
    data.files = ""  # `text`: a file, folder or glob of .txt, .md, .jsonl (optionally .gz)
    # `parallel`: data.files are the targets, a line each, and these their sources; or data.files is
    # a .tsv (source, target) or .jsonl with both, and this is empty.
    data.source_files = ""
    data.direction = ""  # of a corpus of pairs: de-en, en-de; empty: the corpus's first language
    data.train_share = 1.0  # of the training documents, spread evenly; of one alone its beginning
    data.folds = 0  # of all documents but those of test, for cross-validation; 0: none
    data.fold = 0  # which of them is validation, the others being trained on
    data.cleaning = ()  # steps in order, see lmjax/data/cleaning.py: nfc, whitespace, ...
    data.invalid_utf8 = "strict"  # strict | replace | skip
    data.tokenizer = "byte"  # byte | character | word | bpe | file
    data.tokenizer_file = ""  # `file`: which, or its folder; see lmjax/data/tokenizer_files.py
    data.tokenizer_lowercase = True  # `file`: what BERT's vocab.txt is of; other files say it
    data.vocabulary_size = 0  # most entries, for word and bpe; 0: all words, 1024 for bpe
    data.document_end = False  # <eos> after each document (the word tokenizer: after each line)
    # Of a corpus of pairs, as data.tokenizer; empty: one tokenizer for both sides.
    data.source_tokenizer = ""
    data.source_vocabulary_size = 0  # as vocabulary_size, of a source_tokenizer
    # Ids behind the vocabulary (of the sources, where they have their own) that no text has: mask,
    # class, separator, padding, sentinel_0, ...
    data.special_tokens = ()
    data.task = ""  # of the corpus synthetic, see lmjax/data/synthetic/registry.py
    data.task_options = ConfigDict()  # those not given are the defaults of the task
    data.examples = 0  # of a task, that training has in all; 0: none is seen again
    # How rows are read: stream (with carried state) | windows (all, newly shuffled each epoch) |
    # random_windows (drawn with replacement) | packed (whole documents, cut into rows) | documents
    # (a row each, with its source, in batches of about one length) | cooccurrences (glove alone) |
    # sentence_pairs (masked alone: two texts a row, of which the second follows the first in half)
    # | examples (answers alone: those of a task).
    data.batching = "stream"
    data.resets = "random"  # stream: where its state starts anew: random | documents | none
    data.batch_size = 32  # rows, over all devices
    # Tokens a row; documents: the most of one, longer ones are left out; examples: see the task.
    data.length = 128
    # stream: of normal lengths about data.length, or in 1 of 20 rows about half of it, rounded to
    # multiples of 5; the learning rate goes with the length (Merity et al. 2018). 0: all the same.
    data.length_deviation = 0.0
    data.source_length = 128  # documents: the most tokens of a source
    data.read_threads = 1  # that prepare batches; their order does not depend on it

    config.training = training = ConfigDict()
    training.duration = "2000 steps"  # a finished run may be given a longer one
    training.initial_params = ""  # run directory, or RUN@STEP, with whose parameters to begin
    # Patterns of names, such as "head" (and all below it) or "*/bias":
    training.initial_new = ()  # parameters that are drawn anew, whatever the other run has
    training.initial_left = ()  # parameters of the other run that are left out
    training.frozen = ()  # parameters that stay as they are
    training.initial_paths = ()  # THEIRS=OURS: modules that stood elsewhere; "=encoder": all
    training.layer_decay = 1.0  # multiplies the learning rate once for each layer above
    # File of vectors in word2vec's or GloVe's text format, with which the embedding is to begin.
    training.initial_embedding = ""
    training.optimizer = "adamw"  # adamw | sgd | adagrad
    training.learning_rate = 1e-3  # at the peak
    training.schedule = "cosine"  # constant | linear | cosine | epoch_decay | plateau
    training.warmup = "0 steps"  # linear, from zero
    training.final_learning_rate = 0.0  # where linear and cosine end
    training.decay_factor = 0.5  # epoch_decay, plateau: multiplies the learning rate
    training.decay_after = "0 epochs"  # epoch_decay: at the end of each epoch that ends later
    training.beta1 = 0.9  # adamw
    training.beta2 = 0.999  # adamw
    training.epsilon = 1e-8  # adamw, adagrad
    training.momentum = 0.0  # sgd
    training.weight_decay = 0.0  # decoupled, on matrices only
    training.clip_norm = 0.0  # largest global norm of the gradient; 0: off
    training.clip_value = 0.0  # largest absolute value of a gradient's entry; 0: off
    # Which parameters are evaluated and saved: none (those after the last step) | from_start (the
    # mean of the initial ones and those after each step) | triggered (their mean from that
    # evaluation on which is worse than the best but for the last averaging_patience: with sgd,
    # NT-ASGD of Merity et al. 2018).
    training.averaging = "none"
    training.averaging_patience = 5  # triggered: evaluations
    training.loss_reduction = "token_mean"  # token_mean | sequence_mean (summed over time)
    training.accumulation_steps = 1  # micro-batches a step

    config.evaluation = evaluation = ConfigDict()
    evaluation.every = "10 percent"  # how often the validation split is scored
    evaluation.context = "carried"  # carried | windowed | documents (each read alone)
    evaluation.rows = 1  # carried: parallel rows
    evaluation.overlap = 256  # carried: tokens read before each row's first target, not scored
    evaluation.window = 0  # windowed: tokens of a window; 0: data.length
    evaluation.stride = 0  # windowed: targets scored by each window; 0: the window
    evaluation.patience = 0  # stop after so many evaluations without a better one; 0: never
    evaluation.splits = ("validation",)  # scored at the end; each read of "test" is logged
    evaluation.checkpoint = "best"  # scored at the end: best (on validation) | last

    config.checkpoint = checkpoint = ConfigDict()
    checkpoint.every = "10 percent"
    checkpoint.keep = 2  # newest checkpoints kept, beside the best one
    checkpoint.keep_every = "0 steps"  # checkpoints at its multiples are kept for ever

    config.health = health = ConfigDict()
    health.on_nonfinite = "stop"  # stop | skip (the update) | rollback (to the newest checkpoint)
    health.on_spike = "log"  # log | stop | rollback
    health.spike_deviations = 10.0  # mean deviations above the mean loss that make a spike; 0: off
    health.retries = 3  # skips and rollbacks, each, after which a run stops all the same

    config.logging = logging = ConfigDict()
    logging.every = "2 percent"  # how often a row of metrics is written
    logging.trackers = ()  # that rows of metrics also go to: tensorboard, wandb

    config.execution = execution = ConfigDict()
    execution.mode = "jit"  # jit (over a mesh of devices) | pmap
    # Axes and sizes: data (rows), fsdp (rows, and parameters cut), tensor (parameters cut); -1: the
    # rest of the devices, as far as the rows can be spread over them.
    execution.mesh = ("data=-1",)
    # Which axis of the mesh cuts which logical axis of the parameters, where the mesh has it.
    execution.rules = ("vocab=tensor", "mlp=tensor", "heads=tensor", "gates=tensor", "embed=fsdp")
    execution.cpu_devices = 0  # virtual CPU devices; 0: one a core if the batch size divides

    settings = BESIDE.get(model, {})
    config.objective = objective_config(settings.get("objective.name", "causal"))
    config.update_from_flattened_dict(settings)
    return lock(config)


def lock(config: ConfigDict) -> ConfigDict:
    """`config`, which takes no further fields now but options of its task and model's parts."""
    config.lock()
    config.data.task_options.unlock()
    for parts in OPTIONS:
        if parts in config.model:
            config.model[parts].unlock()
    return config


def with_variants(
    config: ConfigDict, names: str, variants: Mapping[str, Mapping[str, Any]]
) -> ConfigDict:
    """`config` changed by each of the `names`, with commas between; without names as it is.

    `variants` are what each changes: `{"smoke": {"model.width": 8, ...}}`. Raises UserError for a
    name that is not among them.
    """
    for name in filter(None, names.split(",")):
        if name not in variants:
            raise UserError(f"the experiment has no variant {name!r}: {nearest(name, variants)}")
        config.update_from_flattened_dict(variants[name])
    return config
