"""Monte Carlo dropout: the mean of probabilities over passes, kept apart from the model's score."""

import json
import math

import jax
import numpy as np
import pytest

import lmjax
from lmjax.cli.main import main
from lmjax.data.context import ContextPolicy
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.errors import UserError
from lmjax.evaluation.monte_carlo import averaged_log_probs, check_averaging
from lmjax.models.contract import initial_carry
from lmjax.objectives.causal import Causal
from lmjax.objectives.contract import empty_batch
from tests.properties.variants import VOCABULARY, build
from tests.streams import stream_of

PASSES, LENGTH = 3, 5
OTHER_DROPOUTS = ("input_dropout", "layer_dropout", "embedding_dropout", "weight_dropout")


@pytest.fixture(scope="module")
def scored():
    model = build("rnn", dict(width=6, layers=1, dropout=0.5))
    params = model.init(jax.random.key(0), np.zeros((1, 2), np.int32))
    tokens_N = np.random.default_rng(0).integers(0, VOCABULARY, 23)
    policy = ContextPolicy("carried", rows=2, overlap=3)
    return model, params, stream_of(tokens_N, start_id=0), policy, 4, Causal()


def test_it_is_the_mean_of_the_probabilities_of_the_passes(scored):
    model, params, stream, policy, *_ = scored
    found_N, nats = averaged_log_probs(*scored, passes=PASSES, length=LENGTH, seed=7)
    probs_PN = np.zeros((PASSES, len(found_N)))
    for index in range(PASSES):
        key = jax.random.fold_in(jax.random.key(7), index)
        carry = initial_carry(model, params, 2, LENGTH)
        chunked = ContextPolicy("carried", rows=2, overlap=3, chunk=LENGTH)
        for number, (batch, places_BT) in enumerate(evaluation_batches(stream, chunked, 4)):
            logits_BTV, carry = model.apply(
                params,
                batch.tokens_BT,
                carry,
                deterministic=False,
                rngs={"dropout": jax.random.fold_in(key, number)},
            )
            probs_BTV = np.asarray(jax.nn.softmax(logits_BTV), np.float64)
            of_targets = np.take_along_axis(probs_BTV, batch.targets_BT[..., None], -1)[..., 0]
            is_scored_BT = batch.weights_BT > 0
            probs_PN[index, places_BT[is_scored_BT]] = of_targets[is_scored_BT]
    np.testing.assert_allclose(np.exp(found_N), probs_PN.mean(axis=0), rtol=1e-5)
    for count in range(1, PASSES + 1):
        expected = -np.log(probs_PN[:count].mean(axis=0)).sum()
        assert nats[count - 1] == pytest.approx(expected, rel=1e-5)
    assert len(set(nats)) == PASSES


def test_no_passes_and_no_dropout_are_refused():
    example = empty_batch(LENGTH)

    def check(passes, family, **fields):
        model = build(family, fields)
        params = model.init(jax.random.key(0), np.zeros((1, 2), np.int32))
        check_averaging(model, params, example, Causal(), passes)

    with pytest.raises(UserError, match="at least 1"):
        check(0, "rnn", width=6, dropout=0.5)
    for family in ("rnn", "transformer", "awd_rnn"):
        off = dict.fromkeys(OTHER_DROPOUTS if family == "awd_rnn" else (), 0.0)
        check(1, family, width=8, dropout=0.001, **off)
        with pytest.raises(UserError, match="nothing is dropped out"):
            check(2, family, width=8, dropout=0.0, **off)


def test_the_refusal_comes_before_the_split_is_read(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("a line of text\n" * 200)
    config = lmjax.base_config("rnn")
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=4, length=16)
    config.model.update(width=8, layers=1, dropout=0.0)
    config.training.duration = "1 step"
    run = tmp_path / "run"
    lmjax.train(config, run)
    assert main(["evaluate", f"--workdir={run}", "--mc_dropout=2", "--split=test"]) == 2
    assert "nothing is dropped out" in capsys.readouterr().err
    assert not (run / "test_reads.jsonl").exists()
    for flag in ("segment=-7", "rates=1e-3", "decays=abc", "tuning_targets=5"):
        for others in ([], ["--cache"], ["--mc_dropout=2"]):
            assert main(["evaluate", f"--workdir={run}", f"--{flag}", *others]) == 2
            error, name = capsys.readouterr().err, flag.partition("=")[0]
            assert f"--{name} is of dynamic evaluation; add --dynamic=rms" in error


def test_the_score_stands_apart_and_reads_of_test_are_logged(tmp_path, capsys):
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on"], 2000)
    text = "\n".join(" ".join(part) for part in words.reshape(-1, 10)) + "\n"
    (tmp_path / "text.txt").write_text(text)
    config = lmjax.base_config("rnn")
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=4, length=16)
    config.model.update(width=8, layers=1, dropout=0.4)
    config.training.duration = "3 steps"
    config.evaluation.rows = 4
    run = tmp_path / "run"
    lmjax.train(config, run)
    capsys.readouterr()
    for split in ("validation", "test"):
        command = ["evaluate", f"--workdir={run}", "--mc_dropout=4", f"--split={split}"]
        assert main(command) == 0
        found = json.loads(capsys.readouterr().out)
    assert found["context"] == "carried_4_rows_overlap_256_mc_dropout_4"
    assert found["total_nats"] == pytest.approx(found["nats_by_passes"][-1])
    assert math.isfinite(found["without_dropout"]["perplexity"])
    (read,) = (run / "test_reads.jsonl").read_text().splitlines()
    assert json.loads(read)["context"] == found["context"]
    results = json.loads((run / "results.json").read_text())
    assert list(results["splits"]) == ["validation"], "of the model itself alone"
    assert results["adapted"]["mc_dropout"].keys() == {"passes", "seed", "splits"}
    assert list(results["adapted"]["mc_dropout"]["splits"]) == ["validation", "test"]
    assert main(["evaluate", f"--workdir={run}", "--mc_dropout=4", "--cache"]) == 2
    assert "--mc_dropout is of no use with --cache" in capsys.readouterr().err
