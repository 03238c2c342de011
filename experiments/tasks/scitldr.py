"""What a paper says, in one sentence, from its abstract: by three small encoder-decoders.

Claim     None measured yet; expected is that what attends to the abstract is ahead of what does
          not, and none of the abstract's first sentence, since 1,992 papers teach few words.
Command   lmjax train --config=experiments/tasks/scitldr.py:attention --workdir=runs/scitldr
          lmjax evaluate --workdir=runs/scitldr --split=test
          and the same with lstm and transformer; no argument is attention.
Hardware  One CPU core, estimated at an hour each.
Published Cachola et al. (2020) have ROUGE-1 of 43.8 from abstracts alone, by BART-large, which is
          pretrained, with the papers' titles.
Differs   Abstracts are cut to 256 subwords, of one vocabulary for both sides, in lower case.

The models are the small ones of experiments/multi30k: LSTMs of which the second begins with the
first's states, GRUs with attention over both directions, a Transformer. `smoke` is tiny.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from lmjax.config import with_variants
from lmjax.errors import UserError

MULTI30K = Path(__file__).parent.with_name("multi30k")
RECURRENT = runpy.run_path(MULTI30K / "recurrent.py")
TRANSFORMER = runpy.run_path(MULTI30K / "transformer.py")
FAMILIES = {
    "lstm": (RECURRENT, "lstm,short"),
    "attention": (RECURRENT, "gru_attention,short"),
    "transformer": (TRANSFORMER, "short"),
}
VARIANTS = {**dict.fromkeys(FAMILIES, {}), "smoke": {}}


def get_config(arg: str = "") -> ConfigDict:
    """The recipe of the family in `arg`, or of attention; raises UserError for two or another."""
    families = [name for name in arg.split(",") if name in FAMILIES] or ["attention"]
    if len(families) > 1:
        raise UserError(f"a model is of one family, not {' and '.join(families)}; give one of them")
    recipe, variants = FAMILIES[families[0]]
    config = recipe["get_config"](variants)
    config.data.update(
        corpus="scitldr",
        direction="",
        vocabulary_size=4000,
        batch_size=16,
        length=128,
        source_length=256,
        cut_sources=256,
    )
    config.training.duration = "20 epochs"
    config.evaluation.splits = ("validation", "test")
    smoke = {**recipe["VARIANTS"]["smoke"], "data.length": 250}
    return with_variants(config, arg, VARIANTS | {"smoke": smoke})
