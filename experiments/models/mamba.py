"""Mamba: layers of a selective state space, and no feed-forward network.

Claim     Gu and Dao (2023), with the sizes of the authors' models (state-spaces/mamba-*):
          130m    24 layers of   768;
          370m    48 layers of 1,024;
          790m    48 layers of 1,536;
          1.4b    48 layers of 2,048;
          2.8b    64 layers of 2,560; all with states of 16 numbers a channel, expansion 2.
          Computed here with their vocabulary of 50,280: 129.1 M, 371.5 M, 793.2 M, 1,372 M and
          2,768 M parameters. Perplexities are not claimed: tokenizer and corpus (the Pile) differ.
Command   lmjax train --config=experiments/models/mamba.py:130m --workdir=runs/mamba
          The Pile is not among the package's corpora: --config.data.corpus=text
          --config.data.files=DIR. Numbers are of its tokens, here they are bytes.
Hardware  accelerators. None of these was trained here.
Recipe    of the paper's scaling laws (appendix E.2): batches of 0.5 M tokens, five times the
          learning rates of GPT-3, weight decay 0.1, a clipped gradient.

`:smoke` is a tiny model and 20 steps; likewise `:370m,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants


def _of_size(layers: int, width: int, steps: int, rate: float) -> dict:
    return {
        "model.layers": layers,
        "model.width": width,
        "training.duration": f"{steps} steps",
        "training.learning_rate": rate,
    }


VARIANTS = {
    "130m": _of_size(24, 768, 4800, 3e-3),
    "370m": _of_size(48, 1024, 13500, 1.5e-3),
    "790m": _of_size(48, 1536, 29000, 1.25e-3),
    "1.4b": _of_size(48, 2048, 50000, 1e-3),
    "2.8b": _of_size(64, 2560, 50000, 8e-4),
    "smoke": {
        "model.layers": 2,
        "model.width": 16,
        "model.mixers.mamba.state_width": 4,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`130m` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(
        pattern=("mamba",), feed_forward="none", norm="rms_norm", position="none", bias=False
    )
    config.model.mixers.mamba = ConfigDict(dict(state_width=16))
    config.data.update(batching="stream", batch_size=256, length=2048)
    config.training.update(
        warmup="10 percent",
        final_learning_rate=1e-5,
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.evaluation.context = "carried"
    config.update_from_flattened_dict(VARIANTS["130m"])
    return with_variants(config, arg, VARIANTS)
