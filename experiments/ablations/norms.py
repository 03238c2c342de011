"""Norms of a Transformer: before or after what is added, by layer or by root mean square.

Question  Does a Transformer that translates want its norms before or after what is added to the
          residual stream, and does it need a mean to be subtracted? `:no_warmup` asks it without
          warm-up.
Command   lmjax study --study=experiments/ablations/norms.py --workdir=runs/norms
          lmjax study --study=experiments/ablations/norms.py:no_warmup --workdir=runs/norms_cold
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, 40 minutes.
Expected  Xiong et al. (2020): norms before the sums need no warm-up, those after them do. Zhang and
          Sennrich (2019): root mean squares do as well as means and deviations.
Differs   Multi30k is small, and so is the model, of two layers a side. It is an encoder-decoder
          since in the decoder alone norms always stand before the sums; a model without norms is
          missing.

Scores are of the English of validation, given the German. `:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.config import base_config
from lmjax.studies.axes import prefix, product, sweep
from lmjax.studies.study import Arm, Study, Tuning

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
AXIS = product(sweep("norm_order", ("pre", "post")), sweep("norm", ("layer_norm", "rms_norm")))
TUNING = Tuning({"training.learning_rate": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)})


def get_study(arg: str = "") -> Study:
    """Both places of both norms."""
    config = base_config("encoder_decoder")
    config.model.update(layers=2, width=64, heads=4, dropout=0.1)
    config.data.update(
        corpus="multi30k",
        direction="de-en",
        cleaning=("lowercase",),
        tokenizer="bpe",
        vocabulary_size=2000,
        document_end=True,
        batching="documents",
        batch_size=64,
    )
    config.training.update(duration="4 epochs", warmup="10 percent", clip_norm=1.0)
    config.evaluation.update(every="25 percent", context="documents")
    config.checkpoint.every = "50 percent"
    if "no_warmup" in arg.split(","):
        config.training.warmup = "0 steps"
    if "smoke" in arg.split(","):
        # Each length of its rows is compiled for, so that time is the text's.
        config.model.layers, config.data.train_share = 1, 0.02
    arms = (
        Arm(
            f"{point['norm_order']}, {point['norm']}", config, "model.feed_forward_width"
        ).with_fields(fields)
        for point, fields in zip(AXIS, prefix("model", AXIS), strict=True)
    )
    return BASE["make_study"](
        "norms",
        arg,
        {"no_warmup": {}},
        question="Does a Transformer that translates want its norms before or after the sums?",
        arms=tuple(arms),
        baseline="post, layer_norm",
        tuning=TUNING,
        prompt="a man",
    )
