"""A published number is met by what a run's results have, else by what is measured."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from lmjax.errors import UserError
from lmjax.generation.beam import Beam
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.claim_measures import measure
from tests.studies.fake_runs import make_config, write_run
from tests.studies.test_claim_results import CLAIM

CONSOLE = Console(quiet=True)
SCORE = {
    "perplexity": 20.0,
    "accuracy": 0.755,
    "bits_per_character": None,
    "context": "carried",
    "tokens": 120,
    "fingerprint": "text-tokens",
}
GREEDY = {"bleu": 28.3, "sentences": 10, "bleu_signature": "tok:13a"}


class FakeTrained:
    """A trained model of a run, which notes what it is asked to measure."""

    def __init__(self, path, **results):
        write_run(make_config(), path)
        self.workdir, self.asked = path, []
        written = json.loads((path / "results.json").read_text())
        written |= {"splits": {"test": SCORE}, "fingerprints": {"test": "b-t", "train": "a-t"}}
        RunDirectory(path).write_results(written | results)

    def evaluate(self, split, **options):
        self.asked.append(split)
        return SimpleNamespace(to_json=lambda: {**SCORE, "perplexity": 30.0})

    def translate_split(self, split, beam, **options):
        self.asked.append((split, str(beam)))
        return SimpleNamespace(measured={**GREEDY, "bleu": 30.0})

    def evaluate_word_vectors(self):
        self.asked.append("word vectors")
        return {"wordsim_353": {"spearman": 0.5, "covered": 300}}


def measured(trained, **changes):
    return measure(replace(CLAIM, **changes), trained, CONSOLE)


def test_scores_are_those_of_the_run(tmp_path):
    trained = FakeTrained(tmp_path / "run")
    parts, _ = measured(trained, published={"test": 1.0})
    assert parts == {"test": (20.0, ("carried", 120, "text-tokens"))} and not trained.asked
    parts, _ = measured(trained)
    assert parts["validation"][0] == 30.0 and trained.asked == ["validation"]
    parts, _ = measured(trained, metric="accuracy", published={"test": 1.0})
    assert parts["test"][0] == pytest.approx(75.5), "in percent"
    with pytest.raises(UserError, match="toy: its text has no bits_per_character"):
        measured(trained, metric="bits_per_character", published={"test": 1.0})


def test_bleu_is_of_the_beam_that_was_published(tmp_path):
    kept = {"test": {"greedy": GREEDY}}
    trained = FakeTrained(tmp_path / "run", translations=kept)
    fields = {"metric": "bleu", "published": {"test": 1.0}}
    parts, more = measured(trained, measure={"beam": 1}, **fields)
    assert parts == {"test": (28.3, ("greedy", 10, "b-t"))} and not trained.asked
    assert more == {"bleu_signature": "tok:13a"}
    parts, _ = measured(trained, measure={"beam": 3}, **fields)
    assert parts["test"][0] == 30.0 and trained.asked == [("test", str(Beam(3)))]


def test_spearman_is_of_the_test_that_was_published(tmp_path):
    fields = {"metric": "spearman", "published": {"wordsim_353": 0.4}}
    trained = FakeTrained(tmp_path / "run")
    parts, _ = measured(trained, **fields)
    assert parts == {"wordsim_353": (0.5, ("cosine", 300, "a-t"))}
    tests = {"wordsim_353": {"spearman": None, "covered": 2}}
    trained = FakeTrained(tmp_path / "other", word_vectors=tests)
    with pytest.raises(UserError, match="no correlation 'wordsim_353'"):
        measured(trained, **fields)
    with pytest.raises(UserError, match="no correlation 'analogies'"):
        measured(trained, metric="spearman", published={"analogies": 0.4})
