"""xLSTM: layers of mLSTM and of sLSTM, whose ratio names the model.

Claim     Beck et al. (2024), table 1 and appendix B.5, 15 and 300 B tokens of SlimPajama:
          125m    24 layers of   768, 163.8 M parameters;
          350m    48 layers of 1,024, 409.3 M (7to1: 408.4 M);
          760m    48 layers of 1,536, 840.4 M;
          1.3b    48 layers of 2,048, 1,422.6 M; all with 4 heads.
          1to0 (the default) is of mLSTM alone, 7to1 has an sLSTM in each eight layers, 0to1 is of
          sLSTM alone.
          7b      32 layers of 4,096, 8 heads, 6.87 B (Beck et al. 2025), of mlstm_large.
          Computed here with their vocabulary of 50,304: 163.8 M, 409.3 M (408.4 M), 840.4 M,
          1,422.6 M and 6,865 M; 125m,0to1 162.4 M. Perplexities are not claimed: tokenizer
          (GPT-NeoX's) and corpus differ.
Command   lmjax train --config=experiments/models/xlstm.py:125m,7to1 --workdir=runs/xlstm
          SlimPajama is not among the package's corpora: --config.data.corpus=text
          --config.data.files=DIR. Numbers are of its tokens, here they are bytes.
Hardware  accelerators. None of these was trained here.
Recipe    of their 15 B tokens: rows of 2,048 in batches of 256, AdamW (0.9, 0.95), weight decay
          0.1, a clipped gradient, a warm-up of 750 steps and a cosine. Learning rates are those of
          Mamba's scaling laws.
Differs   sLSTM stands second of each eight layers, where the paper puts six into 48 by hand; what
          the bias of its forget gate begins as does not depend on the layer. 7b does not bound its
          logits.

`:smoke` is a tiny model and 20 steps; likewise `:7to1,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants


def _of_size(layers: int, width: int, feed_forward_width: int, rate: float) -> dict:
    return {
        "model.layers": layers,
        "model.width": width,
        "model.feed_forward_width": feed_forward_width,  # 1.3 times the width, in steps of 64
        "training.learning_rate": rate,
    }


VARIANTS = {
    "125m": _of_size(24, 768, 1024, 3e-3),
    "350m": _of_size(48, 1024, 1344, 1.5e-3),
    "760m": _of_size(48, 1536, 2048, 1.25e-3),
    "1.3b": _of_size(48, 2048, 2688, 1e-3),
    "1to0": {},
    "7to1": {
        "model.pattern": ("mlstm", "slstm", *("mlstm",) * 6),
        "model.feed_forwards": ("none", "geglu", *("none",) * 6),
    },
    "0to1": {"model.pattern": ("slstm",), "model.feed_forwards": ("geglu",)},
    "7b": {
        **_of_size(32, 4096, 10944, 5e-4),
        "model.heads": 8,
        "model.pattern": ("mlstm_large",),
        "model.feed_forwards": ("swiglu",),
        "model.norm": "rms_norm",
        "model.norm_epsilon": 1e-6,
    },
    "smoke": {
        **_of_size(8, 16, 24, 3e-3),
        "model.heads": 2,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`125m,1to0` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(heads=4, pattern=("mlstm",), feed_forwards=("none",), position="none")
    config.model.tied = False
    config.data.update(batching="stream", batch_size=256, length=2048)
    config.training.update(
        duration="28610 steps",
        final_learning_rate=1e-5,
        warmup="750 steps",
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.evaluation.context = "carried"
    config.update_from_flattened_dict(VARIANTS["125m"])
    return with_variants(config, arg, VARIANTS)
