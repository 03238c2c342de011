"""German to English on Multi30k: the Transformer of 2017, or a decoder that reads the source first.

Claim     BLEU 36.52 on test_2016_flickr (legacy notebook of bentrevett/pytorch-seq2seq: 9.0 million
          parameters, 3 + 3 layers of width 256, 10 epochs, Adam at 5e-4).
Command   lmjax train --config=experiments/multi30k/transformer.py --workdir=runs/transformer
          lmjax translate --workdir=runs/transformer --split=test --beam=5
          lmjax study --study=experiments/multi30k/transformer.py --workdir=runs/decoder_only
Question  of the study: with equal parameters, targets and tuning, is an encoder-decoder a better
          translator than one causal Transformer that reads source, separator and target in a row?
Changed   Norms before the sums, which need no warm-up, for those of 2017, after them; subwords of
          one vocabulary for both sides, for words of spaCy, both of text in lower case; sinusoidal
          positions for learned ones.
Hardware  2 CPU cores, about an hour for one training; `:short`, on one of them, 33 minutes.
Measured  With `:short` (5,000 subwords), seed 0: 36.21 greedy, 37.62 by beam 5; see
          experiments/results/multi30k.md. The study was not run beyond its smoke.

`:decoder_only` is the other arm; `:vaswani`, `:t5` and `:t5_v1_1` are other encoder-decoders, see
ENCODER_DECODERS. `:en_de` writes German, `:french` French to fra_eng's short sentences; neither was
measured. `:short` has 5,000 subwords; `:smoke` is tiny and has 12 steps. Each may stand behind
another, as in `:decoder_only,smoke`.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from lmjax.config import base_config, objective_config, with_variants
from lmjax.model_defaults import ENCODER_DECODERS
from lmjax.studies.study import Arm, Study

LANGUAGES = runpy.run_path(Path(__file__).with_name("recurrent.py"))["LANGUAGES"]
SHARED = dict(width=256, heads=8, dropout=0.1, bias=True, position="sinusoidal")
VARIANTS = {
    "": {},
    "decoder_only": {},
    **{
        name: {f"model.{field}": value for field, value in fields.items()}
        for name, fields in ENCODER_DECODERS.items()
    },
    **LANGUAGES,
    "short": {"data.vocabulary_size": 5000},
    "smoke": {
        "model.layers": 1,
        "model.width": 8,
        "model.heads": 2,
        "model.feed_forward_width": 16,
        "data.train_share": 0.02,
        "data.vocabulary_size": 300,
        "training.duration": "12 steps",
        "evaluation.every": "12 steps",
        "checkpoint.every": "12 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe, or another of the VARIANTS; raises UserError for another `arg`."""
    if "decoder_only" in arg.split(","):
        config = base_config("transformer")
        config.model.update(SHARED, layers=6, feed_forward_width=768, context_length=512)
        config.objective = objective_config("prefix")
    else:
        config = base_config("encoder_decoder")
        config.model.update(SHARED, layers=3, feed_forward_width=512, norm_order="pre")
    config.data.update(
        corpus="multi30k",
        direction="de-en",
        cleaning=("lowercase",),
        tokenizer="bpe",
        vocabulary_size=8000,
        document_end=True,
        batching="documents",
        batch_size=128,
    )
    config.training.update(
        duration="10 epochs", learning_rate=5e-4, schedule="constant", clip_norm=1.0
    )
    config.evaluation.update(every="1 epochs", context="documents")
    config.checkpoint.every = "1 epochs"
    return with_variants(config, arg, VARIANTS)


def get_study(arg: str = "") -> Study:
    """Encoder-decoder or decoder-only? `smoke` as of the configurations."""
    short = f",{arg}" if arg else ""
    return Study(
        name=f"decoder_only-{arg}" if arg else "decoder_only",
        question="Is an encoder-decoder a better translator than a decoder that reads the source "
        "first, with equal parameters and training targets?",
        arms=(
            Arm("encoder-decoder", get_config(arg), size_field="model.feed_forward_width"),
            Arm(
                "decoder-only",
                get_config(f"decoder_only{short}"),
                size_field="model.feed_forward_width",
            ),
        ),
        baseline="encoder-decoder",
        seeds=(0,) if arg else (0, 1, 2),
        prompt="a man",
    )
