"""What the loop decides by validation: when to stop, what to keep, when to lower the rate."""

import io
from dataclasses import replace

import jax
import numpy as np
import pytest
from rich.console import Console

from lmjax.checkpoints.store import Checkpoints
from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.evaluation.scoring import score_stream
from lmjax.runs.run_directory import RunDirectory
from lmjax.training import loop
from lmjax.training.run import train
from lmjax.training.seats import OwnSeat


@pytest.fixture
def config(tmp_path):
    """An LSTM that learns a text whose validation part is another language: it gets worse there."""
    words = np.random.default_rng(0).choice(["the", "cat", "sat"], 3000)
    others = np.random.default_rng(1).choice(["zu", "Xyz", "QQ"], 400)
    lines = [" ".join(part) for part in [*words.reshape(-1, 10), *others.reshape(-1, 10)]]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    config = base_config("rnn")
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=4, length=16)
    config.model.update(width=16, layers=1)
    config.training.update(
        duration="40 steps", optimizer="sgd", learning_rate=2.0, schedule="plateau", clip_norm=1.0
    )
    config.evaluation.update(every="4 steps", rows=4)
    return config


def run(config, workdir):
    console = Console(file=io.StringIO())
    results = train(config, workdir, console)
    rows = RunDirectory(workdir).metrics()
    scores = {row["step"]: row["nats_per_token"] for row in rows if row["kind"] == "evaluation"}
    rates = {row["step"]: row["learning_rate"] for row in rows if row["kind"] == "train"}
    return results, scores, rates


def test_best_and_last(config, tmp_path):
    results, scores, _ = run(config, tmp_path / "best")
    best = min(scores, key=scores.get)
    assert best < 40, "the text was to make validation worse in the end"
    assert results["training"]["scored_step"] == best
    assert results["splits"]["validation"]["nats_per_token"] == pytest.approx(scores[best], 1e-6)
    checkpoints = Checkpoints(tmp_path / "best" / "checkpoints", read_only=True)
    assert checkpoints.restore_params(best)
    config.evaluation.checkpoint = "last"
    results, _, _ = run(config, tmp_path / "last")
    assert results["training"]["scored_step"] == 40
    assert results["splits"]["validation"]["nats_per_token"] == pytest.approx(scores[40], 1e-6)


def test_patience_ends_the_run(config, tmp_path):
    config.evaluation.patience = 2
    results, scores, _ = run(config, tmp_path / "run")
    best = min(scores, key=scores.get)
    assert results["training"]["stopped_early"]
    assert results["training"]["steps"] == max(scores) == best + 2 * 4


def test_a_run_that_patience_ended_goes_on_to_a_longer_duration(config, tmp_path):
    config.evaluation.patience = 2
    first, _, _ = run(config, tmp_path / "run")
    config.training.duration = "80 steps"
    results, _, _ = run(config, tmp_path / "run")
    ended = first["training"]["steps"]
    assert results["training"]["continued_from"] == [ended]
    assert results["training"]["steps"] >= ended + 2 * 4


def test_seconds_hold_the_waits_for_data_that_no_row_was_logged_after(config, tmp_path):
    config.training.duration, config.logging.every = "4 steps", "0 steps"
    results, _, _ = run(config, tmp_path / "run")
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", read_only=True)
    saved = checkpoints.about(4)["position"]
    assert saved["data_wait_seconds"] > 0
    expected = pytest.approx(saved["seconds"] + saved["data_wait_seconds"], rel=1e-12)
    (last,) = RunDirectory(tmp_path / "run").metrics()
    assert (results["training"]["seconds"], last["seconds"]) == (expected, expected)


def test_each_row_has_the_time_of_its_own_steps_also_where_none_begins_after(
    config, tmp_path, monkeypatch
):
    config.training.duration, config.logging.every = "12 steps", "1 steps"
    config.evaluation.every, own_step = "6 steps", OwnSeat.step
    times = iter(range(12))

    def step(seat, batch):
        stepped = own_step(seat, batch)
        jax.block_until_ready(stepped.metrics)
        return replace(stepped, seconds=100.0 + next(times))

    monkeypatch.setattr(OwnSeat, "step", step)
    results, _, _ = run(config, tmp_path / "run")
    rows = [row for row in RunDirectory(tmp_path / "run").metrics() if row["kind"] == "train"]
    assert rows[0]["tokens_per_second"] is None and rows[0]["seconds"] < 50, "it was compiled"
    seconds = np.diff([row["seconds"] for row in rows])
    np.testing.assert_allclose(seconds, 100 + np.arange(1, 12), atol=0.5)
    for row, taken in zip(rows[1:], seconds, strict=True):
        assert row["tokens_per_second"] == pytest.approx(4 * 16 / taken)
    assert results["training"]["seconds"] == pytest.approx(rows[-1]["seconds"])


def test_plateau_halves_the_rate_after_each_score_that_is_no_better(config, tmp_path):
    config.logging.every = "1 steps"
    _, scores, rates = run(config, tmp_path / "run")
    rate, best = 2.0, np.inf
    for step in range(1, 41):
        assert rates[step] == pytest.approx(rate)
        if step in scores:
            if scores[step] >= best:
                rate /= 2
            best = min(best, scores[step])
    assert rate < 2.0


def test_a_model_of_limited_context_is_not_carried_from_batch_to_batch(config, tmp_path):
    limited = base_config("transformer")
    limited.data.update(config.data)
    limited.data.batching = "stream"
    with pytest.raises(UserError, match="set data.batching to 'windows'"):
        train(limited, tmp_path / "run", Console(file=io.StringIO()))


@pytest.mark.parametrize("model", ["rnn", "ngram"])
def test_a_changed_corpus_is_not_mixed_with_the_old_one(model, config, tmp_path):
    changed = base_config(model)
    changed.data.update(config.data)
    changed.data.tokenizer = "character"
    changed.training.duration = "4 steps"
    run(changed, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    before = (tmp_path / "run" / "tokenizer.json").read_bytes()
    with open(tmp_path / "text.txt", "a") as file:
        file.write("µ\n" * 200)
    with pytest.raises(UserError, match="the corpus has changed"):
        run(changed, tmp_path / "run")
    assert (tmp_path / "run" / "tokenizer.json").read_bytes() == before


def test_a_counted_model_that_was_saved_is_not_counted_again(config, tmp_path):
    counted = base_config("ngram")
    counted.data.update(config.data)
    first, _, _ = run(counted, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    again, _, _ = run(counted, tmp_path / "run")
    assert again == first


def test_a_reader_that_goes_away_ends_no_run(config, tmp_path):
    class Closed(io.StringIO):
        lines = 0

        def write(self, text):
            self.lines += 1
            if self.lines > 3:
                raise BrokenPipeError(32, "Broken pipe")
            return len(text)

    results = train(config, tmp_path / "run", Console(file=Closed()))
    assert results["training"]["steps"] == 40
    assert "step 40/40" in (tmp_path / "run" / "log.txt").read_text()


def test_a_damaged_best_checkpoint_is_told_on_resume_with_a_cure_that_works(config, tmp_path):
    results, scores, _ = run(config, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    best = min(scores, key=scores.get)
    manifest = tmp_path / "run" / "checkpoints" / str(best) / "manifest.json"
    manifest.write_text(manifest.read_text().replace("[", "[ "))
    with pytest.raises(UserError, match=f"step {best} .*damaged.*evaluation.checkpoint=last"):
        run(config, tmp_path / "run")
    config.evaluation.checkpoint = "last"
    results, _, _ = run(config, tmp_path / "run")
    assert results["training"]["scored_step"] == 40
    config.evaluation.checkpoint = "best"
    with pytest.raises(UserError, match="evaluation.checkpoint: last there, best here"):
        run(config, tmp_path / "run")


def test_a_damaged_newest_and_best_checkpoint_leaves_all_that_the_one_before_needs(
    config, tmp_path
):
    """The best before it is kept as long as a checkpoint is kept that knows it as the best."""
    config.data.files = str(tmp_path / "better.txt")
    words = np.random.default_rng(0).choice(["the", "cat", "sat"], 3000)
    lines = [" ".join(part) for part in words.reshape(-1, 10)]
    (tmp_path / "better.txt").write_text("\n".join(lines) + "\n")
    config.training.update(learning_rate=0.1, schedule="constant")
    config.evaluation.every, config.checkpoint.every = "10 steps", "5 steps"
    results, scores, _ = run(config, tmp_path / "straight")
    assert min(scores, key=scores.get) == 40, "the text was to make validation ever better"
    run(config, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    manifest = tmp_path / "run" / "checkpoints" / "40" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("[", "[ "))
    again, _, _ = run(config, tmp_path / "run")
    assert "newest intact one is of step 35" in (tmp_path / "run" / "log.txt").read_text()
    assert again["splits"] == results["splits"]


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_validation_is_scored_from_the_parameters_on_the_devices(
    mode, config, tmp_path, monkeypatch
):
    scored = []

    def score_both(model, params, *arguments, **options):
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params))
        score = score_stream(model, params, *arguments, **options)
        assert score == score_stream(model, jax.device_get(params), *arguments, **options)
        scored.append(score)
        return score

    monkeypatch.setattr(loop, "score_stream", score_both)
    config.execution.mode = mode
    _, scores, _ = run(config, tmp_path / "run")
    assert [score.nats_per_token for score in scored] == list(scores.values())
