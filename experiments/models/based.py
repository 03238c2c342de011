"""Based: gated short convolutions, with Taylor linear attention and short windows between them.

Claim     Arora et al. (2024), with the sizes of the authors' code (HazyResearch/based,
          experiment/reference/based-360m.yaml and based-1b.yaml):
          360m    27 layers of 1,024, five of each kind of attention;
          1.3b    36 layers of 1,792, seven of each.
          Computed here with a vocabulary of 50,264: 362.7 M and 1,350 M parameters. Perplexities
          are not claimed: tokenizer (GPT-2's) and corpus (the Pile) differ.
Command   lmjax train --config=experiments/models/based.py:360m --workdir=runs/based
          The Pile is not among the package's corpora: --config.data.corpus=text
          --config.data.files=DIR. Numbers are of its tokens, here they are bytes.
Hardware  accelerators. None of these was trained here.
Recipe    of those files: AdamW at 8e-4, 200 steps of warm-up, a cosine to a tenth over 20,000,
          weight decay 0.1, rows of 2,048.
Differs   windows are of 64 tokens, as the paper says they may be; those files have 256.

`:smoke` is a tiny model and 20 steps; likewise `:1.3b,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

MIXERS = "model.mixers"


def _pattern(layers: int, linear: tuple[int, ...]) -> tuple[str, ...]:
    """Linear attention in those layers, windows in the ones after them, else convolutions."""
    names = dict.fromkeys(linear, "linear_attention") | {at + 1: "sliding_window" for at in linear}
    return tuple(names.get(layer, "base_conv") for layer in range(layers))


VARIANTS = {
    "360m": {
        "model.layers": 27,
        "model.width": 1024,
        "model.feed_forward_width": 2048,
        "model.pattern": _pattern(27, (1, 6, 11, 16, 21)),
    },
    "1.3b": {
        "model.layers": 36,
        "model.width": 1792,
        "model.feed_forward_width": 3584,
        "model.pattern": _pattern(36, (1, 6, 11, 16, 21, 27, 33)),
    },
    "smoke": {
        "model.layers": 3,
        "model.width": 16,
        "model.heads": 2,
        "model.feed_forward_width": 32,
        "model.pattern": _pattern(3, (1,)),
        f"{MIXERS}.linear_attention.key_width": 4,
        f"{MIXERS}.sliding_window.window": 8,
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`360m` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(heads=16, feed_forward="swiglu", norm="rms_norm", position="rotary")
    config.model.mixers.linear_attention = ConfigDict(dict(feature_map="taylor", key_width=16))
    config.model.mixers.sliding_window = ConfigDict(dict(window=64))
    config.data.update(batching="stream", batch_size=256, length=2048)
    config.training.update(
        duration="20000 steps",
        learning_rate=8e-4,
        final_learning_rate=8e-5,
        warmup="200 steps",
        beta2=0.95,
        weight_decay=0.1,
    )
    config.evaluation.context = "carried"
    config.update_from_flattened_dict(VARIANTS["360m"])
    return with_variants(config, arg, VARIANTS)
