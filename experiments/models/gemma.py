"""Gemma 2 and 3: layers with a window and without in turns, and norms around all that is added.

Claim     Gemma Team (2024), tables 1 and 2, and Gemma Team (2025), section 2 and table 1, which
          count parameters of embeddings and others:
          2-2b   26 layers of 2,304, 8 heads of 256, 4 of keys and values, windows of 4,096 in
                 every second layer, scores capped at 50 and logits at 30: 590.1 M and 2,024.5 M;
          3-1b   26 layers of 1,152, 4 heads of 256, one of keys and values, windows of 512 in five
                 layers of six, queries and keys with norms: 302 M and 698 M.
          Computed here with vocabularies of 256,128 and 262,144: 590.1 M and 2,024.5 M, 302.0 M and
          697.9 M.
          Perplexities are not claimed: tokenizers and corpora differ.
Command   lmjax train --config=experiments/models/gemma.py:2-2b --workdir=runs/gemma
          Their corpora are not among the package's: --config.data.corpus=text
          --config.data.files=DIR. Numbers are of their tokens, here they are bytes.
Hardware  accelerators. None of these was trained here.
Recipe    the reports tell tokens, 2 T for either, and that both learnt from a larger model's
          probabilities, which this is not. Learning rates and batches are not told: those of
          LLaMA's smallest stand here.
Differs   weights begin as GPT-2's: the reports don't say how theirs do.

`:smoke` is a tiny model and 20 steps; likewise `:3-1b,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

WINDOW, WHOLE = "model.mixers.sliding_window", "model.mixers.attention"


def _of_both(**options) -> dict:
    """Options of the mixers with and without a window."""
    return {
        f"{mixer}.{name}": value for mixer in (WINDOW, WHOLE) for name, value in options.items()
    }


VARIANTS = {
    "2-2b": {
        "model.width": 2304,
        "model.heads": 8,
        "model.feed_forward_width": 9216,
        "model.context_length": 8192,
        "model.logits_cap": 30.0,
        f"{WINDOW}.window": 4096,
        **_of_both(key_value_heads=4, score_cap=50.0),
    },
    "3-1b": {
        "model.width": 1152,
        "model.heads": 4,
        "model.feed_forward_width": 6912,
        "model.context_length": 32_768,
        "model.pattern": ("sliding_window",) * 5 + ("attention",),
        "model.logits_cap": 0.0,
        f"{WINDOW}.window": 512,
        f"{WHOLE}.rotary_base": 1e6,
        **_of_both(key_value_heads=1, score_cap=0.0, query_key_norm=True),
    },
    "smoke": {
        "model.layers": 2,
        "model.width": 16,
        "model.heads": 4,
        "model.feed_forward_width": 32,
        "model.context_length": 32,
        "model.pattern": ("sliding_window", "attention"),
        f"{WINDOW}.window": 8,
        **_of_both(head_width=8),
        "data.batch_size": 4,
        "data.length": 32,
        "training.duration": "20 steps",
        "training.warmup": "0 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """`2-2b` with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(
        layers=26,
        pattern=("sliding_window", "attention"),
        norm="rms_norm",
        norm_epsilon=1e-6,
        norm_order="both",
        position="rotary",
        feed_forward="geglu",
        scaled_embedding=True,
    )
    both = dict(
        head_width=256, key_value_heads=4, score_cap=50.0, query_key_norm=False, rotary_base=1e4
    )
    config.model.mixers.attention = ConfigDict(both)
    config.model.mixers.sliding_window = ConfigDict(both | dict(window=4096))
    config.data.update(batch_size=512, length=8192)
    config.training.update(
        duration="2e12 tokens",
        learning_rate=3e-4,
        final_learning_rate=3e-5,
        warmup="2000 steps",
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
    )
    config.update_from_flattened_dict(VARIANTS["2-2b"])
    return with_variants(config, arg, VARIANTS)
