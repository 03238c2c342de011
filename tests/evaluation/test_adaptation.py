"""A cache beside a model: its probabilities by hand and in sum, and what it is tuned on."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import lmjax
from lmjax.cli.main import main
from lmjax.data.context import ContextPolicy
from lmjax.errors import UserError
from lmjax.evaluation.adaptation import LENGTHS, UnigramCache, cached_probs, tune_cache
from lmjax.evaluation.scoring import score_of_targets, score_stream, target_log_probs
from tests.streams import stream_of
from tests.toy_models import hash_logits, make_hash_model

VOCABULARY, SIZE = 6, 103
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, SIZE).astype(np.int32)
POLICY = ContextPolicy("carried", chunk=10)


def probs_of_targets(tokens, start_id=4):
    model, params, _ = make_hash_model(VOCABULARY)
    return target_log_probs(model, params, stream_of(tokens, start_id=start_id), POLICY, 1)


@pytest.mark.parametrize("length", [1, 2, 7, 50, 1000])
def test_a_cache_is_the_share_of_the_last_targets(length):
    found_N = cached_probs(TOKENS, length)
    assert np.isnan(found_N[0])
    for place in range(1, SIZE):
        read = TOKENS[max(0, place - length) : place].tolist()
        assert found_N[place] == read.count(TOKENS[place]) / len(read)


@pytest.mark.parametrize("place", [0, 1, 2, 30, 102])
@pytest.mark.parametrize("cache", [UnigramCache(0.3, 5), UnigramCache(0.9, 100)])
def test_probabilities_of_all_tokens_sum_to_one(place, cache):
    total = 0.0
    for token in range(VOCABULARY):
        tokens_N = np.append(TOKENS[:place], np.int32(token))
        total += math.exp(cache.adapt(probs_of_targets(tokens_N), tokens_N)[-1])
    assert total == pytest.approx(1, rel=1e-6)


def test_it_is_a_mixture_and_the_first_target_the_models():
    cache = UnigramCache(0.25, 4)
    table_NV = make_hash_model(VOCABULARY)[2]
    logits_V = hash_logits(table_NV, [4, *TOKENS[:9]])
    model = np.exp(logits_V[TOKENS[9]]) / np.exp(logits_V).sum()
    share = TOKENS[5:9].tolist().count(TOKENS[9]) / 4
    adapted_N = cache.adapt(probs_of_targets(TOKENS), TOKENS)
    assert math.exp(adapted_N[9]) == pytest.approx(0.75 * model + 0.25 * share, rel=1e-5)
    assert adapted_N[0] == pytest.approx(probs_of_targets(TOKENS)[0], abs=1e-12)


def test_what_stands_after_a_target_changes_nothing():
    changed_N = TOKENS.copy()
    changed_N[60:] = (changed_N[60:] + 1) % VOCABULARY
    cache = UnigramCache(0.4, 20)
    adapted_N, other_N = (cache.adapt(probs_of_targets(t), t) for t in (TOKENS, changed_N))
    assert np.array_equal(adapted_N[:60], other_N[:60])
    assert not np.array_equal(adapted_N[60:], other_N[60:])


def test_the_score_of_targets_is_the_scorers():
    model, params, _ = make_hash_model(VOCABULARY)
    stream = stream_of(TOKENS, start_id=4, segment_starts=[0, 11, 11, 40, 90])
    log_probs_N = target_log_probs(model, params, stream, POLICY, 1)
    of_targets = score_of_targets(log_probs_N, stream, "carried", model)
    score = score_stream(model, params, stream, POLICY, 1)
    assert of_targets.segments["nats"] == pytest.approx(score.segments["nats"], rel=1e-12)
    assert replace(of_targets, total_nats=0, segments={}) == replace(
        score, total_nats=0, segments={}
    )
    assert of_targets.total_nats == pytest.approx(score.total_nats, rel=1e-12)


def test_the_best_length_and_weight_are_found():
    """In a text whose halves have words of their own, of a model that knows no words."""
    generator = np.random.default_rng(0)
    halves = [generator.integers(low, low + 5, 3000) for low in (0, 50)]
    tokens_N = np.concatenate(halves)
    log_probs_N = np.full(len(tokens_N), -math.log(100))
    cache, tried = tune_cache(log_probs_N, tokens_N)
    assert [trial["length"] for trial in tried] == list(LENGTHS)
    assert cache.length in (100, 200, 500) and cache.weight > 0.8
    for weight in np.linspace(0.01, 0.89, 40):
        for length in LENGTHS:
            nats = -UnigramCache(weight, length).adapt(log_probs_N, tokens_N).sum()
            assert nats >= min(trial["total_nats"] for trial in tried) - 1e-3


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on"], 4000)
    text = "\n".join(" ".join(part) for part in words.reshape(-1, 10)) + "\n"
    (folder / "text.txt").write_text(text)
    config = lmjax.base_config("ngram")
    config.data.update(corpus="text", files=str(folder / "text.txt"), tokenizer="word")
    lmjax.train(config, folder / "run")
    return folder / "run"


def reads(run):
    path = run / "test_reads.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_it_is_tuned_on_validation_and_stands_apart(run, capsys):
    assert main(["evaluate", f"--workdir={run}", "--cache"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["context"].startswith("carried_unigram_cache_") and not reads(run)
    assert found["perplexity"] <= found["without_cache"]["perplexity"] + 1e-6
    assert main(["evaluate", f"--workdir={run}", "--cache", "--split=test"]) == 0
    tested = json.loads(capsys.readouterr().out)
    assert tested["unigram_cache"] == found["unigram_cache"], "chosen without the test split"
    assert [row["context"] for row in reads(run)] == ["carried, unigram cache"]
    results = json.loads((run / "results.json").read_text())
    assert list(results["splits"]) == ["validation"], "of the models themselves alone"
    assert list(results["adapted"]["unigram_cache"]["splits"]) == ["validation", "test"]
    plain = lmjax.load(run).evaluate("test")
    assert tested["without_cache"]["perplexity"] == pytest.approx(plain.perplexity, rel=1e-9)


def test_what_a_cache_does_not_go_with_is_refused(run, capsys):
    for flag in ("--random_batches=2", "--corpus=ptb"):
        assert main(["evaluate", f"--workdir={run}", "--cache", flag]) == 2
        assert "is of no use with --cache" in capsys.readouterr().err
    with pytest.raises(UserError, match="no field 'lines'"):
        lmjax.load(run).evaluate_with_cache("test", lines=3)
