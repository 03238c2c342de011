"""Labels are learnt from their sentences, and how many are told right is counted."""

import json

import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.data.streams import with_source
from lmjax.errors import UserError
from lmjax.objectives.classification import Classification
from lmjax.training.run import train
from tests.streams import stream_of


def test_a_label_that_a_word_decides_is_learnt(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for number in range(300):
        words = [str(word) for word in generator.choice(["film", "plot", "actor"], 4)]
        words[generator.integers(4)] = "good" if number % 2 else "bad"
        rows.append({"source": f"{number} " + " ".join(words), "target": str(number % 2)})
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = base_config("classifier")
    config.model.update(layers=1, width=16, heads=2, dropout=0.0, context_length=40)
    config.data.update(corpus="parallel", files=str(tmp_path / "pairs.jsonl"), batch_size=16)
    config.data.update(source_tokenizer="word", source_length=32)
    config.training.update(duration="60 steps", learning_rate=1e-2)
    config.evaluation.every = config.logging.every = "50 percent"
    results = train(config, tmp_path / "run")
    score = results["splits"]["validation"]
    assert score["accuracy"] == 1 and score["right"] == score["tokens"] > 5
    assert score["nats_of"] == "conditional"
    # A label is one token, and reading a sentence of 32 tokens and the padding costs all of them.
    forward = 32 * (2 * 12 * 16**2 + 2 * 2 * 32 * 16)
    assert results["training_flops_per_token"] == pytest.approx(3 * forward, rel=0.03)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert rows[-1]["accuracy"] > rows[0]["accuracy"] and rows[-1]["accuracy"] > 0.9


def test_a_label_of_several_tokens_is_refused():
    source = stream_of([1, 2, 3, 4], document_starts=(0, 2))
    labels = with_source(stream_of([1, 2, 3], document_starts=(0, 1)), source)
    with pytest.raises(UserError, match="label of document 2 has 2 tokens.*data.tokenizer to 'w"):
        next(Classification().evaluation_batches(labels, None, 1))
