"""Numbers are learnt from their sources, and nats tell the squared error."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from lmjax.api import load
from lmjax.config import base_config, choose, objective_config
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.streams import with_source
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.errors import UserError
from lmjax.objectives.contract import empty_batch
from lmjax.objectives.registry import make_objective
from lmjax.objectives.regression import Regression
from lmjax.training.run import train
from tests.streams import stream_of

WORDS = {"good": 2.5, "fair": 0.5, "bad": -1.0}


def test_a_number_that_a_word_decides_is_learnt(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for number in range(300):
        words = [str(word) for word in generator.choice(["film", "plot", "actor"], 4)]
        words[generator.integers(4)] = list(WORDS)[number % 3]
        value = WORDS[list(WORDS)[number % 3]]
        rows.append({"source": f"{number} " + " ".join(words), "target": str(value)})
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = base_config("classifier")
    choose(config, "model.backbone", "rnn")
    choose(config, "objective", "regression")
    config.model.update(dropout=0.0, pooling="max", lowest=-1.0, highest=2.5)
    config.model.backbone.update(layers=1, width=16)
    config.data.update(corpus="parallel", files=str(tmp_path / "pairs.jsonl"), batch_size=16)
    config.data.update(tokenizer="number", source_tokenizer="word", source_length=32)
    config.training.update(duration="80 steps", learning_rate=1e-2)
    config.evaluation.every = config.logging.every = "50 percent"
    score = train(config, tmp_path / "run")["splits"]["validation"]
    assert score["nats_of"] == "normal_of_deviation_1" and score["bits_per_byte"] is None
    error = 2 * score["nats_per_token"] - math.log(2 * math.pi)
    assert 0 <= error < 0.1
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    measured = [row["measures"]["squared_error"] for row in rows if row["kind"] == "train"]
    assert measured[-1] < 0.2 < measured[0]

    trained = load(tmp_path / "run")
    source_BS = trained.tokenizer.source.encode_source("film good plot actor")[None, :]
    numbers_BT1, _ = trained.model.apply(
        trained.params, np.zeros((1, 1), np.int32), source_BS=source_BS
    )
    assert numbers_BT1[0, 0, 0] == pytest.approx(2.5, abs=0.6)


def test_rows_that_fill_up_a_batch_change_no_mean():
    targets_BT = np.stack([NumberTokenizer().encode_piece(word) for word in ("2", "3", "0")])

    def told(rows):
        weights_BT = np.float32([[1], [1], [0]])[rows]
        batch = empty_batch(1).replace(targets_BT=targets_BT[rows], weights_BT=weights_BT)
        numbers_BT1 = np.float32([[[1.0]], [[2.5]], [[9.0]]])[rows]
        model = SimpleNamespace(apply=lambda params, tokens_BT, carry, **_: (numbers_BT1, carry))
        return Regression()(model, None, batch, None)

    whole, parts = told([0, 1, 2]), (told([0, 1]), told([2]))
    for count in ("tokens", "sequences"):
        sums = [part.measures["squared_error"] * part.counts[count] for part in parts]
        assert sum(sums) / whole.counts[count] == pytest.approx((1.0**2 + 0.5**2) / 2, rel=1e-5)


def test_what_can_not_be_is_refused():
    with pytest.raises(UserError, match="tells numbers.*set data.tokenizer='number'"):
        make_objective(objective_config("regression"), WordTokenizer(("1",), False))
    with pytest.raises(UserError, match="needs a model that tells a number"):
        Regression().check(None, object())
    source = stream_of([1, 2, 3, 4], document_starts=(0, 2))
    numbers = with_source(stream_of([1, 2, 3], document_starts=(0, 1)), source)
    with pytest.raises(UserError, match="the number of document 2 has 2 tokens"):
        next(Regression().evaluation_batches(numbers, None, 1))
