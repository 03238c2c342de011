"""Every field of a configuration: its default, its unit, one line on what it does.

Those of its sections `model` and `objective` are in `model_defaults.py`, `objective_defaults.py`.

`base_config(model)` returns a locked `ConfigDict`; an experiment file changes a few fields of it.
Durations are text: `2000 steps`, `3 epochs`, `1e6 tokens`, or `10 percent` of the whole training.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.model_defaults import OPTIONS, model_config, sections_of
from lmjax.objective_defaults import objective_config

# Fields that configurations of before lack in their run directories, with what they are in them.
LATER = {
    "data.cut_sources": 0,
    "data.validation_files": "",
    "data.test_files": "",
    "data.text_column": "text",
    "data.second_column": "",
    "data.label_column": "label",
    "data.faulty_rows": "strict",
    "data.augmentation": (),
    "data.augmentation_share": 0.5,
    "data.augmentation_vectors": "",
    "data.paraphrases": "",
    "data.folds": 0,
    "data.fold": 0,
    "data.length_deviation": 0.0,
    "data.task": "",
    "data.task_options": {},
    "data.examples": 0,
    "data.source_overlap": 64,
    "model.cell_options": {},
    "model.embedding_norm": False,
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
    "objective.class_weights": "none",
    "objective.label_smoothing": 0.0,
    "training.averaging": "none",
    "training.averaging_patience": 5,
}

# Sections whose fields are those of what they name; a backbone's there are in some models alone.
NAMED = ("model", "model.backbone", "objective")

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
OF_LABELS = {
    "objective.name": "classification",
    "data.corpus": "sst2",
    "data.tokenizer": "label",
    "data.source_tokenizer": "bpe",
    "data.source_length": 127,  # and a class token
    "data.batching": "documents",
    "evaluation.context": "documents",
}
BESIDE = {
    "classifier": OF_LABELS,
    "span_finder": {
        "objective.name": "span",
        "data.corpus": "squad",
        "data.tokenizer": "span",
        "data.source_tokenizer": "word",
        "data.special_tokens": ("separator",),
        "data.length": 2,
        "data.source_length": 127,  # and a class token
        "data.source_overlap": 32,
        "data.batching": "documents",
        "evaluation.context": "documents",
    },
    "bag_of_ngrams": {**OF_LABELS, "data.source_tokenizer": "word"},
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
    # `labelled`: data.files is a .csv, .tsv or .jsonl of labelled texts, as these are, if given.
    data.validation_files = ""
    data.test_files = ""
    data.text_column = "text"  # labelled: names of columns
    data.second_column = ""  # labelled: of the second texts of pairs; empty: there are none
    data.label_column = "label"  # labelled
    # labelled: rows without a label or a text: strict (refused) | skip (counted and left out)
    data.faulty_rows = "strict"
    data.direction = ""  # of a corpus of pairs: de-en, en-de; empty: the corpus's first language
    data.train_share = 1.0  # of the training documents, spread evenly; of one alone its beginning
    data.folds = 0  # of all documents but those of test, for cross-validation; 0: none
    data.fold = 0  # which of them is validation, the others being trained on
    data.cleaning = ()  # steps in order, see lmjax/data/cleaning.py: nfc, whitespace, ...
    data.invalid_utf8 = "strict"  # strict | replace | skip
    # byte | character | word | bpe | file; of what has a source: label | number | span (places)
    data.tokenizer = "byte"
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
    # documents: the most tokens of a source; documents with longer ones are left out.
    data.source_length = 128
    data.cut_sources = 0  # tokens of which longer sources keep the first; 0: they are whole
    # span: a longer text is read in windows that share so many tokens.
    data.source_overlap = 64
    # What changes words of sources in training, and how large a share of them, as swap=0.1: swap,
    # delete, insert, replace (Wei and Zou 2019), blank. One of those given is drawn at a time.
    data.augmentation = ()
    data.augmentation_share = 0.5  # of the sources that are shown changed, others each epoch
    data.augmentation_vectors = ""  # insert, replace: file of vectors, for words near to each
    data.paraphrases = ""  # .jsonl of sources and texts that may be shown in their place
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
    # rest of the devices, as far as rows can be spread over them; of a CPU's, as far as it pays.
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
    for section in sections_of(config.model).values():
        for parts in OPTIONS:
            if parts in section:
                section[parts].unlock()
    return config


def choose(config: ConfigDict, section: str, name: str) -> None:
    """Gives a section with a name the default fields of that one, unless it has the name already.

    It is `model`, `model.backbone` or `objective`. Raises UserError if there is no such name.
    """
    *above, last = section.split(".")
    level = config[above[0]] if above else config
    if level[last].name != name:
        with config.unlocked():
            level[last] = objective_config(name) if section == "objective" else model_config(name)
        lock(config)


def with_variants(
    config: ConfigDict, names: str, variants: Mapping[str, Mapping[str, Any]]
) -> ConfigDict:
    """`config` changed by each of the `names`, with commas between; without names as it is.

    `variants` are what each changes: `{"smoke": {"model.width": 8, ...}}`. Another name of a model,
    a backbone or an objective brings the default fields of that one first. Raises UserError for a
    name that is not among them.
    """
    for name in filter(None, names.split(",")):
        if name not in variants:
            raise UserError(f"the experiment has no variant {name!r}: {nearest(name, variants)}")
        changes = variants[name]
        for section in NAMED:
            if f"{section}.name" in changes:
                choose(config, section, changes[f"{section}.name"])
        config.update_from_flattened_dict(changes)
    return config
