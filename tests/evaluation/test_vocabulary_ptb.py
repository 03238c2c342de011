"""A smaller vocabulary gains nothing: what it lacks is charged its spelling."""

import pytest

from experiments.ptb.kneser_ney5 import get_config
from lmjax.data.dataset import open_dataset
from lmjax.evaluation.scoring import context_policy, score_stream
from lmjax.models.registry import build_model


@pytest.mark.parametrize(
    ("vocabulary", "bits_per_byte", "perplexity", "unknowns"),
    [(10_000, 1.331, 141.19, 0), (1_000, 3.333, 38.87, 16_087), (100, 5.522, 9.93, 36_895)],
)
def test_five_grams_on_the_penn_treebank(data_dir, vocabulary, bits_per_byte, perplexity, unknowns):
    config = get_config()
    config.data.vocabulary_size = vocabulary
    dataset = open_dataset(config.data)
    model = build_model(config.model, dataset.tokenizer)
    params = model.fit([dataset.splits["train"]])
    policy = context_policy(config, model)
    score = score_stream(model, params, dataset.splits["test"], policy, 1)
    assert score.bits_per_byte == pytest.approx(bits_per_byte, abs=6e-4)
    assert score.perplexity == pytest.approx(perplexity, abs=6e-3)
    assert (score.unknowns, score.dropped_bytes) == (unknowns, 0)
