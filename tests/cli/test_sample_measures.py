"""`lmjax sample --measure`: what samples are like, beside text that the model has not seen."""

import json

import numpy as np
import pytest

import lmjax
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.tasks.generation import measure
from lmjax.trained.measuring import _pieces
from lmjax.training.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(["one", "two", "six", "ten"], 6)) for _ in range(300)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    config = base_config("ngram")
    config.data.update(corpus="text", files=str(folder / "text.txt"), tokenizer="character")
    train(config, folder / "run")
    return folder / "run"


def test_samples_are_measured_beside_held_out_text(run, capsys):
    arguments = ["sample", f"--workdir={run}", "--samples=3", "--length=60", "--measure"]
    assert main([*arguments, "--prompt=one "]) == 0
    printed = capsys.readouterr()
    measured = json.loads(printed.err)
    samples = lmjax.load(run).generate(["one "], length=60, seed=0)
    assert printed.out.startswith(f"--- sample 1, seed 0\none {samples[0]}")
    for name in ("samples", "held_out"):
        assert measured[name]["samples"] == 3 and 0 < measured[name]["seen_3"] <= 1
    assert measured["held_out"]["seen_1"] == 1
    assert "validation is read to stand beside samples" in (run / "log.txt").read_text()


def test_samples_are_kept_for_the_report(run, capsys):
    arguments = ["sample", f"--workdir={run}", "--samples=2", "--length=30", "--keep"]
    assert main([*arguments, "--prompt=one "]) == 0
    samples = [lmjax.load(run).generate("one ", length=30, seed=seed) for seed in (0, 1)]
    assert (run / "samples.txt").read_text() == f"one {samples[0]}\n\none {samples[1]}"
    assert main(["report", f"--workdir={run}"]) == 0
    page = (run / "report.html").read_text()
    assert all(sample.strip() in page for sample in samples)


def test_what_is_copied_is_seen_to_be(run, tmp_path):
    text = (run.parent / "text.txt").read_text()
    found = lmjax.load(run).measure_samples([text[10:200], "zzz"])["samples"]
    assert found["longest_copy"] == 190 and found["longest_copy_text"] == text[10:200]
    assert found["longest_copy_mean"] == 95
    assert found == measure([text[10:200], "zzz"], [text[: len(text) * 9 // 10]])


def test_pieces_are_as_long_as_samples_and_spread_over_the_text():
    assert _pieces(["abc", "def", "ghi", "jkl"], ["..", "."]) == ["ab", "g"]
    assert _pieces(["abcdefgh"], ["..", ".."]) == ["ab", "de"]
    assert _pieces(["ab"], ["....", ""]) == ["ab", ""] and _pieces(["ab", ""], ["...."]) == ["ab"]
