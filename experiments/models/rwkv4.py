"""RWKV-4: time mixing by weighted means of values, and channel mixing with a gate.

Claim     Peng et al. (2023), their table of models, with a vocabulary of 50,277:
          169m    12 layers of   768,   169.3 M parameters;
          430m    24 layers of 1,024,   430.4 M;
          1.5b    24 layers of 2,048, 1,515 M;
          3b      32 layers of 2,560, 2,985 M;
          7b      32 layers of 4,096, 7,393 M;
          14b     40 layers of 5,120, 14,150 M.
          Computed here: the same. Perplexities are not claimed: tokenizer and corpus (the Pile)
          differ.
Command   lmjax train --config=experiments/models/rwkv4.py:169m --workdir=runs/rwkv4
          The Pile is not among the package's corpora: --config.data.corpus=text
          --config.data.files=DIR. Numbers are of its tokens, here they are bytes.
Hardware  accelerators. None of these was trained here.
Recipe    of the paper: rows of 1,024 in batches of 128, one epoch of 330 B tokens, Adam (0.9, 0.99)
          without weight decay; the learning rate of each size as there.
Differs   matrices begin as GPT-2's, not as zeros, and other parameters do not depend on the layer;
          a cosine; batches of one size. Each of their layers is two here.

`:smoke` is a tiny model and 20 steps; likewise `:430m,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants


def _of_size(layers: int, width: int, rate: float, last_rate: float = 1e-5) -> dict:
    return {
        "model.layers": 2 * layers,
        "model.width": width,
        "training.learning_rate": rate,
        "training.final_learning_rate": last_rate,
    }


VARIANTS = {
    "169m": _of_size(12, 768, 6e-4),
    "430m": _of_size(24, 1024, 4e-4),
    "1.5b": _of_size(24, 2048, 3e-4),
    "3b": _of_size(32, 2560, 1.5e-4),
    "7b": _of_size(32, 4096, 1.5e-4),
    "14b": _of_size(40, 5120, 1e-4, 7e-6),
    "smoke": {
        **_of_size(1, 16, 6e-4),
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`169m` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(pattern=("rwkv4", "rwkv_channel_mixing"), feed_forward="none")
    config.model.update(position="none", bias=True, tied=False, embedding_norm=True)
    config.model.mixers.rwkv_channel_mixing = ConfigDict(dict(receptance=True))
    config.data.update(batching="stream", batch_size=128, length=1024)
    config.training.update(
        duration="2520000 steps",
        warmup="0 steps",
        beta2=0.99,
        weight_decay=0.0,
        clip_norm=1.0,
    )
    config.evaluation.context = "carried"
    config.update_from_flattened_dict(VARIANTS["169m"])
    return with_variants(config, arg, VARIANTS)
