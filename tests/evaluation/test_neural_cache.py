"""The continuous cache: by brute force, in sum, and blind to what follows."""

import json
import math

import jax
import numpy as np
import pytest
from flax.linen import meta

import lmjax
from lmjax.cli.main import main
from lmjax.data.context import ContextPolicy
from lmjax.errors import UserError
from lmjax.evaluation.neural_cache import NeuralCache, neural_cached_probs, target_states
from lmjax.evaluation.scoring import target_log_probs
from lmjax.objectives.causal import Causal
from tests.properties.variants import VOCABULARY, build
from tests.streams import stream_of
from tests.toy_models import make_hash_model

SIZE, WIDTH = 150, 4
GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.integers(0, VOCABULARY, SIZE).astype(np.int32)
HIDDEN_ND = GENERATOR.normal(size=(SIZE, WIDTH)).astype(np.float32)
LOG_PROBS = np.log(GENERATOR.uniform(0.05, 0.9, SIZE))


def by_brute_force(place, token, flatness, length):
    """The share of a token among the targets before a place, in double precision."""
    sums = np.zeros(VOCABULARY)
    for other in range(max(0, place - length), place):
        product = HIDDEN_ND[place].astype(float) @ HIDDEN_ND[other].astype(float)
        sums[TOKENS[other]] += math.exp(flatness * product)
    return sums[token] / sums.sum()


def test_it_is_the_formula_of_the_paper():
    """In caches that reach beyond a chunk, and beyond the beginning of the text."""
    flatnesses, lengths = (0.0, 0.7), (1, 9, 1000)
    found = neural_cached_probs(HIDDEN_ND, TOKENS, flatnesses, lengths)
    for (flatness, length), found_N in found.items():
        assert np.isnan(found_N[0])
        for place in range(1, SIZE):
            expected = by_brute_force(place, TOKENS[place], flatness, length)
            assert found_N[place] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_it_is_a_mixture_whose_probabilities_sum_to_one():
    cache, place, total = NeuralCache(0.3, 20, 0.5), 140, 0.0
    for token in range(VOCABULARY):
        tokens_N = np.append(TOKENS[:place], np.int32(token))
        log_probs_N = np.append(LOG_PROBS[:place], math.log(1 / VOCABULARY))
        adapted_N = cache.adapt(log_probs_N, tokens_N, HIDDEN_ND[: place + 1])
        expected = 0.7 / VOCABULARY + 0.3 * by_brute_force(place, token, 0.5, 20)
        assert math.exp(adapted_N[-1]) == pytest.approx(expected, rel=1e-5)
        assert adapted_N[0] == log_probs_N[0]
        total += math.exp(adapted_N[-1])
    assert total == pytest.approx(1, rel=1e-5)


def test_what_stands_after_a_target_changes_nothing():
    cache = NeuralCache(0.4, 50, 0.5)
    changed_N, changed_ND = TOKENS.copy(), HIDDEN_ND.copy()
    changed_N[90:] = (changed_N[90:] + 1) % VOCABULARY
    changed_ND[91:] += 1
    whole_N = cache.adapt(LOG_PROBS, TOKENS, HIDDEN_ND)
    other_N = cache.adapt(LOG_PROBS, changed_N, changed_ND)
    assert np.array_equal(whole_N[:90], other_N[:90])
    assert not np.array_equal(whole_N[90:], other_N[90:])


@pytest.mark.parametrize(
    ("family", "changes", "policy"),
    [
        ("rnn", dict(width=6, layers=1), ContextPolicy("carried", rows=2, overlap=3, chunk=8)),
        (
            "transformer",
            dict(width=8, heads=2, layers=1, context_length=8),
            ContextPolicy("windowed", window=8, stride=3),
        ),
    ],
)
def test_states_are_those_that_the_models_own_score_rests_on(family, changes, policy):
    model = build(family, changes)
    params = meta.unbox(model.init(jax.random.key(0), np.zeros((1, 2), np.int32)))
    scored = model, params, stream_of(TOKENS, start_id=0), policy, 4, Causal()
    log_probs_N, hidden_ND = target_states(*scored)
    np.testing.assert_allclose(log_probs_N, target_log_probs(*scored), rtol=1e-5)
    for place in (0, 3):
        read = np.concatenate([[0], TOKENS[:place]])[None].astype(np.int32)
        expected_BTD, _ = model.apply(params, read, method="hidden_states")
        np.testing.assert_allclose(hidden_ND[place], expected_BTD[0, -1], rtol=1e-4, atol=1e-5)


def test_a_model_without_states_is_refused():
    model, params, _ = make_hash_model(VOCABULARY)
    with pytest.raises(UserError, match="shows no vectors"):
        target_states(model, params, stream_of(TOKENS), ContextPolicy("carried"), 1, Causal())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on"], 3000)
    text = "\n".join(" ".join(part) for part in words.reshape(-1, 10)) + "\n"
    (folder / "text.txt").write_text(text)
    config = lmjax.base_config("rnn")
    config.model.update(width=4, layers=1)
    config.data.update(corpus="text", files=str(folder / "text.txt"), tokenizer="word")
    config.data.update(batch_size=2, length=8)
    config.training.duration = "2 steps"
    lmjax.train(config, folder / "run")
    return folder / "run"


@pytest.mark.parametrize(
    ("flags", "kind", "context"),
    [
        (["--neural_cache"], "neural_cache", "carried, neural cache"),
        (
            ["--dynamic=rms", "--rates=1e-4,1e-3", "--decays=0", "--tuning_targets=50"],
            "dynamic_evaluation",
            "carried, dynamic evaluation",
        ),
    ],
)
def test_it_is_tuned_on_validation_and_stands_apart(run, capsys, flags, kind, context):
    before = lmjax.load(run).params
    found = []
    for split in ("validation", "test"):
        assert main(["evaluate", f"--workdir={run}", f"--split={split}", *flags]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0][kind] == found[1][kind], "chosen without the test split"
    reads = [json.loads(line) for line in (run / "test_reads.jsonl").read_text().splitlines()]
    assert [read["context"] for read in reads].count(context) == 1
    results = json.loads((run / "results.json").read_text())
    assert list(results["splits"]) == ["validation"], "of the models themselves alone"
    assert list(results["adapted"][kind]["splits"]) == ["validation", "test"]
    jax.tree.map(np.testing.assert_array_equal, lmjax.load(run).params, before)


def test_what_does_not_go_together_is_refused(run, capsys):
    for flags, words in (
        (["--neural_cache", "--dynamic=sgd"], "--dynamic is of no use with --neural_cache"),
        (["--dynamic=adam"], "unknown rule 'adam'"),
        (["--dynamic=sgd", "--rates=fast"], "give numbers with commas between"),
        (["--dynamic=sgd", "--context=documents"], "carried or windowed"),
    ):
        assert main(["evaluate", f"--workdir={run}", *flags]) == 2
        assert words in capsys.readouterr().err
