"""Tasks that a run was not trained for, from the command line to what the run keeps of them."""

import io
import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

import lmjax
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.data import corpora
from lmjax.data.documents import Document
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.run import train

LABELS = ("NUM", "LOC", "HUM", "DESC", "ENTY", "ABBR")
PAIRS = [
    Document(f"agreement/{paradigm}:{i}", good, good, bad)
    for paradigm in ("one", "two")
    for i, (good, bad) in enumerate([("the cat sat", "cat the sat"), ("a cat", "a cat")])
]
QUESTIONS = {
    split: [Document(f"{split}:{i}", LABELS[i % 6], f"what is {i} ?") for i in range(12)]
    for split in ("train", "validation", "test")
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An n-gram of letters."""
    folder = tmp_path_factory.mktemp("letters")
    (folder / "text.txt").write_text("the cat sat on a mat .\n" * 200)
    config = base_config("ngram")
    config.model.order = 4
    config.data.update(corpus="text", files=str(folder / "text.txt"), tokenizer="byte")
    train(config, folder / "run")
    return RunDirectory(folder / "run")


@pytest.fixture(autouse=True)
def few_documents(monkeypatch):
    for name, splits in (("blimp", {"test": PAIRS}), ("trec", QUESTIONS)):
        corpus = corpora.Corpus(name, ["few"], lambda splits=splits: (splits, Counter()))
        source = corpora.Source("", lambda data, corpus=corpus: corpus)
        monkeypatch.setitem(corpora.CORPORA, name, source)


def told(capsys, *arguments):
    assert main([*arguments]) == 0
    return json.loads(capsys.readouterr().out)


def predictions_of(run, name):
    lines = (run.path / "predictions" / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_pairs_are_judged_and_kept(run, capsys):
    found = told(capsys, "evaluate", f"--workdir={run.path}", "--task=blimp")
    assert found["metrics"] == {"accuracy": 0.75, "ties": 0.5} and found["examples"] == 4
    assert found["by_phenomenon"] == {"agreement": 0.75}
    assert found["by_paradigm"] == {"one": 0.75, "two": 0.75}
    assert found["baselines"]["chance"]["accuracy"] == 0.5
    rows = predictions_of(run, "blimp")
    assert [row["prediction"] for row in rows] == ["the cat sat", ""] * 2
    kept = run.results()["other_tasks"]["blimp"]
    assert kept == {name: value for name, value in found.items() if name not in ("task", "step")}
    first = told(capsys, "evaluate", f"--workdir={run.path}", "--task=blimp", "--pairs=1")
    assert first["metrics"]["accuracy"] == 1 and first["examples"] == 2
    assert set(run.results()["other_tasks"]) >= {"blimp", "blimp_first_1_of_each"}
    read = (run.path / "test_reads.jsonl").read_text().splitlines()
    assert [json.loads(line)["corpus"] for line in read] == ["blimp", "blimp_first_1_of_each"]


def test_prompts_are_answered_and_kept(run, capsys):
    given = ["prompt", f"--workdir={run.path}", "--task=trec", "--shots=2", "--seed=3"]
    found = told(capsys, *given, "--calibrate", "--examples=7")
    name = "trec_2_shots_seed_3_calibrated_first_7"
    rows = predictions_of(run, name)
    assert len(rows) == found["examples"] == 7 and found["examples_by_shots"] == {"2": 7}
    assert found["ties"] == sum(row["as_likely"] > 0 for row in rows)
    right = sum(row["prediction"] == row["reference"] for row in rows)
    assert found["metrics"]["accuracy"] == pytest.approx(right / 7)
    assert found["baselines"]["majority_class"]["accuracy"] == pytest.approx(1 / 7)
    assert run.results()["other_tasks"][name]["metrics"] == found["metrics"]
    trained = lmjax.load(run.path)
    again = trained.prompt("trec", shots=2, seed=3, calibrate=True, examples=7)
    assert again["metrics"] == found["metrics"]
    reads = len((run.path / "test_reads.jsonl").read_text().splitlines())
    trained.prompt("trec", split="validation")
    assert len((run.path / "test_reads.jsonl").read_text().splitlines()) == reads
    line = (run.path / "log.txt").read_text().splitlines()[-1]
    assert line.startswith("validation is read to answer to trec_0_shots_validation by step")


def test_answers_of_another_template_or_step_replace_none(run, tmp_path):
    trained, kept = lmjax.load(run.path), {}
    for folder, words in (("one", "great"), ("other", "fine")):
        labels = {label: f"{words} {i}" for i, label in enumerate(LABELS)}
        fields = {"example": "{text} It was", "labels": labels}
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "mine.json"
        path.write_text(json.dumps(fields))
        found = trained.prompt("trec", template=str(path), split="validation", examples=2)
        kept[words] = found["template"]
        assert found["template"]["labels"] == labels
    names = [name for name in run.results()["other_tasks"] if "template_mine" in name]
    assert [run.results()["other_tasks"][name]["template"] for name in names] == [*kept.values()]
    (run.path / "predictions" / f"{names[0]}.jsonl").write_text("")
    other_step = replace(trained, step=trained.step + 1)
    other_step.prompt(
        "trec", template=str(tmp_path / "one" / "mine.json"), split="validation", examples=2
    )
    assert not predictions_of(run, names[0])


def test_answers_of_imported_weights_are_kept_and_of_others_without_results_not(run, tmp_path):
    copy, written = RunDirectory(tmp_path / "copy"), io.StringIO()
    shutil.copytree(run.path, copy.path)
    shutil.rmtree(copy.path / "predictions", ignore_errors=True)
    (copy.path / "results.json").unlink()
    lmjax.load(copy.path).judge(console=Console(file=written, width=80))
    assert not (copy.path / "predictions").exists() and "not kept" in written.getvalue()
    copy.write_imported({"folder": "theirs"})
    written.truncate(0)
    imported = lmjax.load(copy.path)
    imported.judge(console=Console(file=written, width=80))
    imported.prompt("trec", split="validation", examples=2)
    assert len(predictions_of(copy, "blimp")) == len(PAIRS) and not copy.is_finished
    assert len(predictions_of(copy, "trec_0_shots_validation_first_2")) == 2
    assert "not kept" not in written.getvalue()
    replace(imported, changes={"order": 3}).judge(pairs=1, console=Console(file=written, width=80))
    assert "not kept" in written.getvalue()
    assert not (copy.path / "predictions" / "blimp_first_1_of_each.jsonl").exists()


def test_the_first_prompt_is_shown_and_commands_no_terminal(run, monkeypatch):
    hostile = [replace(QUESTIONS["test"][0], source="what [/b] is \x1b[2J [red] it ?")]
    splits = QUESTIONS | {"test": hostile}
    corpus = corpora.Corpus("trec", ["hostile"], lambda: (splits, Counter()))
    monkeypatch.setitem(corpora.CORPORA, "trec", corpora.Source("", lambda data: corpus))
    written = io.StringIO()
    lmjax.load(run.path).prompt("trec", console=Console(file=written, width=80))
    assert "what [/b] is \ufffd[2J [red] it ?" in written.getvalue()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "--pairs=3"], "--pairs are of a --task"),
        (["evaluate", "--task=trec"], "no pairs of sentences"),
        (["evaluate", "--task=blimps"], "did you mean 'blimp'"),
        (["evaluate", "--task=blimp", "--cache"], "--cache is of no use with --task"),
        (["evaluate", "--task=blimp", "--split=test"], "--split is of no use with --task"),
        (["evaluate", "--task=blimp", "--stride=2"], "--stride is of no use with --task"),
        (["prompt"], "--task=NAME is missing"),
        (["prompt", "--task=blimp"], "not one of labels"),
        (["prompt", "--task=names"], "has no template"),
        (["prompt", "--task=trec", "--shots=13"], "from 0 to 12"),
        (["prompt", "--task=trec", "--shots=1", "--split=train"], "may stand answered before"),
        (["prompt", "--task=trec", "--split=dev"], "no split 'dev'"),
        (["prompt", "--task=trec", "--normalization=words"], "unknown normalization"),
    ],
)
def test_mistakes_are_told(run, arguments, says, capsys):
    assert main([*arguments, f"--workdir={run.path}"]) == 2
    assert says in capsys.readouterr().err
