"""Every ablation can be run, in full and in short: known before its first step, and by one."""

import runpy
from pathlib import Path

import pytest

from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.conduct import study as run_and_report
from lmjax.studies.matching import match_study
from lmjax.studies.plan import plan_study
from lmjax.studies.spaces import combinations
from lmjax.studies.study import TOLERANCE, load_study

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
FILES = sorted(EXPERIMENTS.glob("ablations/*.py"))
NUMBERS = {5: "five", 8: "eight"}
MOST_STEPS = 300  # in short


def arguments(path):
    """The variants of a study, and each of them in short."""
    names = ["", *(() if path.stem == "base" else runpy.run_path(path).get("VARIANTS", ()))]
    return [*names, *(f"{name},smoke".strip(",") for name in names)]


CASES = [
    pytest.param(path, argument, id=f"{path.stem}:{argument}")
    for path in FILES
    for argument in arguments(path)
]


@pytest.mark.parametrize(("path", "argument"), CASES)
def test_every_arm_has_as_many_seeds_and_trials_and_in_short_one(path, argument):
    study = load_study(f"{path}:{argument}")
    is_short = "smoke" in argument
    assert len(study.seeds) == (1 if is_short else 3)
    trials = combinations(study.tuning.space)
    assert len(trials) == 1 if is_short else len(trials) >= 3
    assert study.name == "-".join(filter(None, [path.stem, *argument.split(",")]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_docstring_is_a_row_of_a_paper(path):
    text = " ".join(runpy.run_path(path)["__doc__"].split())
    for argument in arguments(path):
        if "smoke" not in argument:
            reference = f"{path.relative_to(EXPERIMENTS)}:{argument}".rstrip(":")
            assert f"lmjax study --study=experiments/{reference} --workdir=runs/" in text
    if path.stem != "base":
        trials = len(combinations(load_study(f"{path}:").tuning.space))
        assert f"tries the same {NUMBERS[trials]} learning rates" in text
    assert all(part in text for part in ("Question ", "Hardware ", "Expected ", "smoke"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_unknown_variant_is_named(path):
    with pytest.raises(UserError, match="no variant 'smoek': did you mean 'smoke'"):
        load_study(f"{path}:smoek")


@pytest.mark.parametrize(
    ("path", "argument"), [case for case in CASES if "smoke" in case.values[1]]
)
def test_its_arms_are_matched_and_can_be_trained(path, argument, data_dir):
    study = match_study(load_study(f"{path}:{argument}"))
    plans = {plan.name: plan for plan in plan_study(study) if plan.cost}
    baseline = plans[study.baseline]
    for quantity in study.matched:
        for plan in plans.values():
            assert plan.of(quantity) == pytest.approx(baseline.of(quantity), rel=TOLERANCE)
    for arm in study.arms:
        if arm.name in plans:
            tokens = arm.config.data.batch_size * arm.config.data.length
            assert plans[arm.name].run_tokens <= MOST_STEPS * tokens


def test_one_of_them_runs_to_its_report(tmp_path, data_dir):
    result = run_and_report(f"{EXPERIMENTS}/ablations/base.py:smoke", tmp_path / "study")
    assert result.failures == []
    (arm,) = result.record.arms
    assert 0 < arm.scores("validation")[0]["bits_per_byte"] < 8
    assert RunDirectory(arm.runs[0].path).results()["training"]["steps"] == 100
    assert result.page.is_file()
