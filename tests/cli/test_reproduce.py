"""`lmjax reproduce` on a small experiment: run, taken in, refused, listed, in the README."""

import json
import shutil

import numpy as np
import pytest
import yaml

import lmjax
from lmjax.cli.main import main
from lmjax.evaluation.estimate import estimate_on_random_windows
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.run import train

EXPERIMENT = """
import lmjax

def get_config(arg=""):
    config = lmjax.base_config(arg or "rnn")
    config.data.update(corpus="text", files={files!r}, tokenizer="word")
    if not arg:
        config.model.update(width=4, layers=1)
        config.data.update(batch_size=4, length=16)
        config.training.duration = "4 steps"
    return config
"""
SHARED = {
    "number": 1,
    "paper": "Somebody 2020, A paper",
    "corpus": "text",
    "metric": "perplexity",
    "certainty": "source file",
    "where": "a README",
    "tier": "cpu",
    "status": "runnable",
    "tolerance": 1.0,
    "experiment": "experiments/toy.py",
}
CLAIMS = [
    {"id": "trained", "variant": "a toy", "published": {"validation": 1000.0}},
    {
        "id": "cached",
        "variant": "a counted toy",
        "published": {"validation": 4.0, "test": 4.0},
        "experiment": "experiments/toy.py:ngram",
        "measure": {"cache": True},
        "tolerance": 2.0,
    },
    {
        "id": "sampled",
        "variant": "a toy",
        "published": {"validation": 1.4},
        "metric": "nats_per_token",
        "measure": {"random_batches": 2},
    },
    {
        "id": "lacking",
        "variant": "a toy",
        "published": {"test": 1.0},
        "status": "needs",
        "reason": "a cell that is not here",
        "experiment": None,
    },
    {
        "id": "tested",
        "variant": "a toy",
        "published": {"test": 1.0},
        "status": "by command",
        "reason": "a package",
        "command": "pytest tests/toy.py",
        "experiment": None,
    },
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on"], 2000)
    text = "\n".join(" ".join(part) for part in words.reshape(-1, 10)) + "\n"
    (folder / "text.txt").write_text(text)
    (folder / "experiments").mkdir()
    code = EXPERIMENT.format(files=str(folder / "text.txt"))
    (folder / "experiments" / "toy.py").write_text(code)
    claims = yaml.safe_dump([{**SHARED, "claims": CLAIMS}], sort_keys=False)
    (folder / "experiments" / "claims.yaml").write_text(claims)
    (folder / "README.md").write_text(
        "# Toy\n\n<!-- claims: begin -->\n<!-- claims: end -->\nend\n"
    )
    return folder


def call(root, *arguments):
    return main(["reproduce", *arguments, f"--claims={root / 'experiments' / 'claims.yaml'}"])


def result(root, id):
    return json.loads((root / "experiments" / "results" / f"{id}.json").read_text())


def test_seeds_are_run_once_and_measured(root, capsys):
    workdir = f"--workdir={root / 'runs'}"
    assert call(root, "trained", "--seeds=1", workdir) == 1
    assert "missed by -9" in capsys.readouterr().out
    before = (root / "runs" / "seed_0" / "results.json").read_bytes()
    assert call(root, "trained", "--seeds=2", workdir) == 1
    assert "is finished: nothing to do" in capsys.readouterr().out
    assert (root / "runs" / "seed_0" / "results.json").read_bytes() == before
    found = result(root, "trained")
    (part,) = found["parts"].values()
    scores = [lmjax.load(root / "runs" / f"seed_{seed}").evaluate() for seed in (0, 1)]
    assert list(part["by_seed"].values()) == [score.perplexity for score in scores]
    assert part["mean"] == pytest.approx(np.mean(list(part["by_seed"].values())))
    assert (part["context"], part["targets"]) == ("carried", scores[0].tokens)
    assert part["fingerprint"] == scores[0].fingerprint
    assert found["command"] == "lmjax reproduce trained --seeds=2" and set(found["runs"]) == {
        "0",
        "1",
    }
    about = found["runs"]["1"]
    assert about["devices"] and about["versions"]["jax"] and len(about["measured_on"]) == 10
    assert about["commit"] is None or len(about["commit"]) == 40


@pytest.mark.parametrize(
    ("diff", "untracked", "dirty"),
    [
        ("", [], False),
        ("", ["experiments/results/a.json"], False),
        ("diff --git a/experiments/results/a.json b/experiments/results/a.json\n+1", [], False),
        ("diff --git a/lmjax/api.py b/lmjax/api.py\n+1", [], True),
        ("", ["experiments/results/a.json", "lmjax/other.py"], True),
    ],
)
def test_results_alone_make_no_commit_dirty(root, tmp_path, diff, untracked, dirty):
    config = lmjax.load_experiment(str(root / "experiments" / "toy.py:ngram"))
    train(config, tmp_path / "run")
    path = tmp_path / "run" / "environment.json"
    source = {"commit": "c" * 40, "diff": diff, "untracked": untracked}
    path.write_text(json.dumps({**json.loads(path.read_text()), "source": source}))
    assert call(root, "cached", f"--runs={tmp_path / 'run'}") == 0
    assert result(root, "cached")["runs"]["0"]["dirty"] is dirty
    assert result(root, "cached")["runs"]["0"]["commit"] == "c" * 40


def test_finished_runs_are_taken_in_and_others_refused(root, tmp_path, capsys):
    config = lmjax.load_experiment(str(root / "experiments" / "toy.py"))
    config.seed = 7
    config.evaluation.splits = ()
    train(config, tmp_path / "seven")
    assert call(root, "trained", f"--runs={tmp_path / 'seven'}") == 1
    assert "7" in result(root, "trained")["runs"]
    with config.unlocked():
        config.training.learning_rate = 0.5
    train(config, tmp_path / "other")
    capsys.readouterr()
    assert call(root, "trained", f"--runs={tmp_path / 'other'}") == 2
    assert "training.learning_rate: 0.5 there" in capsys.readouterr().err
    shutil.copytree(tmp_path / "seven", tmp_path / "twin")
    assert call(root, "trained", f"--runs={tmp_path / 'seven'},{tmp_path / 'twin'}") == 2
    assert "have the same seed 7" in capsys.readouterr().err
    (tmp_path / "twin" / "results.json").unlink()
    assert call(root, "trained", f"--runs={tmp_path / 'twin'}") == 2
    assert "is not finished" in capsys.readouterr().err


def test_a_field_that_came_later_than_a_run_has_its_default(root, tmp_path, capsys):
    config = lmjax.load_experiment(str(root / "experiments" / "toy.py"))
    config.seed = 8
    train(config, tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    kept = json.loads(path.read_text())
    del kept["training"]["weight_decay"]
    path.write_text(json.dumps(kept))
    assert call(root, "trained", f"--runs={tmp_path / 'old'}") == 1
    kept["training"]["unheard_of"] = 1
    path.write_text(json.dumps(kept))
    capsys.readouterr()
    assert call(root, "trained", f"--runs={tmp_path / 'old'}") == 2
    assert "training.unheard_of: 1 there, absent here" in capsys.readouterr().err


def test_a_counted_model_has_one_seed_and_a_cache_its_own_results(root, capsys):
    assert call(root, "cached", "--seeds=3", f"--workdir={root / 'counted'}") == 0
    assert "reproduced" in capsys.readouterr().out
    found = result(root, "cached")
    assert list(found["runs"]) == ["0"] and found["runs"]["0"]["unigram_cache"]["length"]
    run = RunDirectory(root / "counted" / "seed_0").results()
    for name, part in found["parts"].items():
        assert part["context"] == "carried, unigram cache"
        score = run["adapted"]["unigram_cache"]["splits"][name]
        assert part["by_seed"] == {"0": score["perplexity"]}
    assert "test" not in run["splits"]


def test_an_estimate_is_over_random_windows(root):
    assert call(root, "sampled", f"--workdir={root / 'runs'}") in (0, 1)
    (part,) = result(root, "sampled")["parts"].values()
    assert (part["context"], part["targets"]) == ("random windows of 16", 40 * 2 * 4 * 16)
    assert 1 < part["by_seed"]["0"] < 3
    draws = result(root, "sampled")["runs"]["0"]["draws"]
    trained = lmjax.load(root / "runs" / "seed_0")
    stream = trained.dataset().splits["validation"]
    first = estimate_on_random_windows(trained.model, trained.params, stream, trained.config, 2)
    assert draws["validation"]["first"] == pytest.approx(first)
    assert abs(first - part["by_seed"]["0"]) < 5 * draws["validation"]["deviation"]


def test_what_cannot_be_run_says_why(root, capsys):
    assert call(root, "lacking") == 0
    assert "not run (needs a cell that is not here)" in " ".join(capsys.readouterr().out.split())
    assert call(root, "tested") == 0
    said = capsys.readouterr().out
    assert "not run (needs a package and `pytest tests/toy.py`)" in " ".join(said.split())
    assert "nothing was run: tested is measured by `pytest tests/toy.py`" in said
    assert call(root, "trainde") == 2
    assert "did you mean 'trained'" in capsys.readouterr().err
    for wrong, message in (
        ((), "give the id of a claim"),
        (("trained", "--list"), "give the id of a claim"),
        (("trained", "--seeds=0"), "--seeds is 0"),
        (("--seeds=0", "trained"), "--seeds is 0"),
        (("--seeds", "0", "trained"), "--seeds is 0"),
        (("trained", "sampled"), "unexpected argument 'sampled'"),
        (("--list", "--tier=gpu"), "unknown --tier 'gpu'"),
    ):
        assert call(root, *wrong) == 2
        assert message in capsys.readouterr().err
    assert main(["reproduce", "--list", "--claims=nowhere.yaml"]) == 2
    assert "no claims in nowhere.yaml" in capsys.readouterr().err


def test_they_are_listed_and_stand_in_the_readme(root, capsys):
    assert call(root, "--list", "--status=needs") == 0
    listed = capsys.readouterr().out
    assert "lacking" in listed and "cached" not in listed and "1 claims" in listed
    assert call(root, "--table") == 0
    text = (root / "README.md").read_text()
    assert "a counted toy" in text and text.endswith("<!-- claims: end -->\nend\n")
    capsys.readouterr()
    assert call(root, "--table") == 0 and "nothing to change" in capsys.readouterr().out
