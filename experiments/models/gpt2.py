"""GPT-2: a pre-norm decoder with learned positions and one table of words for both its ends.

Claim     Radford et al. (2019), table 2, whose counts the authors corrected later:
          124m   12 layers of   768,   117 M parameters there;
          355m   24 layers of 1,024,   345 M;
          774m   36 layers of 1,280,   762 M;
          1.5b   48 layers of 1,600, 1,542 M.
          Computed here with their vocabulary of 50,257: 124.4 M, 354.8 M, 774.0 M and 1,557.6 M,
          those of the weights that they gave away: `lmjax import` reads these.
          Perplexities are not claimed: their corpus (WebText) was never published.
Command   lmjax train --config=experiments/models/gpt2.py:124m --workdir=runs/gpt2
          --config.data.corpus=text --config.data.files=DIR
Hardware  accelerators. None of these was trained here.
Recipe    the paper has none. Learning rates and batches are GPT-3's at these sizes (Brown et al.
          2020, table 2.1 and appendix B), the number of steps is nanoGPT's (Karpathy 2022).

`:smoke` is a tiny model and 20 steps on bytes; likewise `:355m,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants


def _of_size(layers: int, width: int, heads: int, rate: float) -> dict:
    return {
        "model.layers": layers,
        "model.width": width,
        "model.heads": heads,
        "training.learning_rate": rate,
        "training.final_learning_rate": rate / 10,
    }


VARIANTS = {
    "124m": _of_size(12, 768, 12, 6e-4),
    "355m": _of_size(24, 1024, 16, 3e-4),
    "774m": _of_size(36, 1280, 20, 2.5e-4),
    "1.5b": _of_size(48, 1600, 25, 2e-4),
    "smoke": {
        "model.layers": 2,
        "model.width": 16,
        "model.heads": 2,
        "model.context_length": 32,
        "data.tokenizer": "byte",
        "data.vocabulary_size": 0,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "training.learning_rate": 1e-3,
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`124m` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(
        context_length=1024,
        norm="layer_norm",
        position="learned",
        feed_forward="gelu",
        bias=True,
        dropout=0.1,
        tied=True,
        remat="block",
        scan_layers=True,
    )
    config.data.update(
        tokenizer="bpe", vocabulary_size=50257, document_end=True, batch_size=512, length=1024
    )
    config.training.update(
        duration="600000 steps",
        warmup="2000 steps",
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.update_from_flattened_dict(VARIANTS["124m"])
    return with_variants(config, arg, VARIANTS)
