"""Iso-FLOP curves: arms at budgets, and what a report tells and draws of them."""

import csv
import json

import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.budgets import at_budgets
from lmjax.studies.isoflop import write_scaling
from lmjax.studies.judging import study_comparisons, study_verdict
from lmjax.studies.measures import Measures
from lmjax.studies.reading import read_study
from lmjax.studies.report import write_report
from lmjax.studies.study import Arm
from tests.studies.fake_runs import make_study
from tests.studies.fake_studies import read_page, write_study

BUDGETS = (1e9, 1e10, 1e11)
SIZES = (2.0, 1.0, 0.0, -1.0, -2.0)  # log of the distance from the best one


def write_runs(workdir, seeds=2, **fields):
    """Runs whose loss is a parabola in log N about 0.1 sqrt(C), with tokens such that C = 6 N D."""
    random = np.random.default_rng(0)
    names = {
        f"{budget:.0e}, {place}": (budget, 0.1 * budget**0.5 * np.exp(shift))
        for budget in BUDGETS
        for place, shift in enumerate(SIZES)
    }
    scores = {
        name: [
            3
            - 0.02 * np.log(budget)
            + 0.05 * np.log(size / (0.1 * budget**0.5)) ** 2
            + 0.001 * random.normal()
            for _ in range(seeds)
        ]
        for name, (budget, size) in names.items()
    }
    write_study(workdir, scores, **({"scaling": True} | fields))
    for name, (budget, size) in names.items():
        for path in (workdir / "arms" / Arm(name, base_config()).folder).iterdir():
            results = RunDirectory(path).results()
            results["parameters"] = {"total": round(size), "non_embedding": round(size / 2)}
            results["training"]["tokens"] = round(budget / (6 * size))
            results["training_flops_per_token"] = 6 * size
            results["training_elementwise_per_token"] = 0
            (path / "results.json").write_text(json.dumps(results))


def test_a_report_tells_exponents_by_what_was_counted(tmp_path):
    write_runs(tmp_path)
    texts = " ".join(read_page(tmp_path).texts)
    assert "How the loss scales" in texts
    for counted in (
        "Counting all parameters: at a",
        "Counting parameters without embeddings: at a",
    ):
        line = texts[texts.index(counted) :]
        exponent = line.partition("the best size is of C^")[2].partition(" ")[0]
        assert float(exponent) == pytest.approx(0.5, abs=0.01)
    text = (tmp_path / "report.md").read_text()
    assert "## How the loss scales" in text and "(plots/scaling.svg)" in text
    assert "Which arm wins is not the question" in text


def test_the_csvs_have_every_run_and_every_exponent(tmp_path):
    write_runs(tmp_path)
    write_report(tmp_path)
    with open(tmp_path / "plots" / "scaling.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(BUDGETS) * len(SIZES)
    assert {round(float(row["flops"]), -8) for row in rows} == set(BUDGETS)
    assert all(float(row["total"]) > 1.9 * float(row["non_embedding"]) > 0 for row in rows)
    with open(tmp_path / "plots" / "scaling_laws.csv") as file:
        laws = list(csv.DictReader(file))
    found = {(row["parameters_counted"], row["law"], row["quantity"]) for row in laws}
    assert ("all parameters", "envelope", "parameters_exponent") in found
    assert ("parameters without embeddings", "parametric", "alpha") in found
    for row in laws:
        assert float(row["low"]) <= float(row["high"])
    factors = [float(row["value"]) for row in laws if row["quantity"] == "parameters_factor"]
    assert factors[0] > 1.5 * factors[1]  # A of all parameters and of half of them, at one alpha
    svg = (tmp_path / "plots" / "scaling.svg").read_text()
    assert "1e+10 FLOPs" in svg and "parameters, exponent 0.50" in svg


def test_what_can_not_be_fitted_is_told_and_the_runs_are_drawn(tmp_path):
    write_study(tmp_path, {"a": [2.0, 2.1], "b": [2.2, 2.3]}, scaling=True)
    study = read_study(tmp_path)
    scaling = write_scaling(study, "test", tmp_path / "plots")
    assert len(scaling.lines) == 4
    assert all("Counting" in line and "train more" in line for line in scaling.lines)
    assert "FLOPs" in scaling.svg


def test_nothing_is_drawn_of_another_study_and_no_arm_wins_here(tmp_path):
    write_study(tmp_path / "other", {"a": [2.0, 2.1]})
    assert write_scaling(read_study(tmp_path / "other"), "test", tmp_path / "plots") is None
    write_runs(tmp_path / "scaling", seeds=3, baseline="1e+09, 0")
    study = read_study(tmp_path / "scaling")
    assert study_verdict(study).winner is None
    assert study_comparisons(study) == []


def test_a_study_of_scaling_matches_nothing():
    with pytest.raises(
        UserError, match=r"matches parameters and training_tokens; set matched=\(\)"
    ):
        make_study(scaling=True)
    assert make_study(scaling=True, matched=()).scaling


def small(width):
    config = base_config("rnn")
    config.model.update(width=width, layers=1)
    config.data.update(corpus="python_docs", batch_size=2, length=16)
    return Arm(f"width {width}", config, fine_field="model.embedding_width")


def test_arms_are_trained_for_the_flops_of_each_budget():
    arms = at_budgets([small(8), small(16)], (1e9, 4e9))
    assert [arm.name for arm in arms] == [
        "width 8, 1e+09 FLOPs",
        "width 16, 1e+09 FLOPs",
        "width 8, 4e+09 FLOPs",
        "width 16, 4e+09 FLOPs",
    ]
    measures = Measures()
    flops = [measures.of(arm, "training_flops") for arm in arms]
    np.testing.assert_allclose(flops, [1e9, 1e9, 4e9, 4e9], rtol=0.01)
    assert [arm.config.model.width for arm in arms] == [8, 16, 8, 16]
    with pytest.raises(UserError, match="width 16.*a step is too much of it"):
        at_budgets([small(16)], (1.5 * 2 * 16 * 6 * (8 * 16 * 16 + 16 * 256),))
