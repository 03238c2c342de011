"""Studies as data, and the mistakes that their files can hold."""

import re

import pytest

from lmjax.errors import UserError
from lmjax.studies.study import Arm, Tuning, load_study
from tests.studies.fake_runs import make_config, make_study

GOOD = """
from lmjax.config import base_config
from lmjax.studies.study import Arm, Study

def get_study(arg=""):
    config = base_config("rnn")
    config.training.duration = "3 steps" if arg == "smoke" else "30 steps"
    return Study(name="s", question="?", arms=(Arm("A", config),), baseline="A")
"""


def write(tmp_path, text):
    path = tmp_path / "file.py"
    path.write_text(text)
    return str(path)


def test_argument_after_the_colon_reaches_the_file(tmp_path):
    path = write(tmp_path, GOOD)
    assert load_study(path).arms[0].config.training.duration == "30 steps"
    assert load_study(f"{path}:smoke").arms[0].config.training.duration == "3 steps"
    assert load_study(f"{path}:smoke").reference == f"{path}:smoke"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "has no get_study"),
        ("import this_is_no_module\n", r"line 1: ModuleNotFoundError: .*this_is_no_module"),
        ("def get_study(arg):\n    return 1 / 0\n", r"line 2: ZeroDivisionError"),
        ("def get_study(arg)\n", "line 1: expected ':'"),
        ("def get_study(arg):\n    return {}\n", "returned dict, not a Study"),
        (GOOD.replace("config.training.duration =", "config.training.durration ="), "durration"),
        (GOOD.replace('baseline="A"', 'baseline="AA"'), "did you mean 'A'"),
    ],
)
def test_a_file_that_cannot_be_used_is_the_users_mistake(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as raised:
        load_study(write(tmp_path, text))
    assert len(str(raised.value).splitlines()) <= 2
    assert "UserError" not in str(raised.value)


@pytest.mark.parametrize("reference", ["absent.py", "absent.py:smoke", ""])
def test_a_missing_file_is_named(reference):
    with pytest.raises(UserError, match="no study file"):
        load_study(reference)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arms": (Arm("A b", make_config()), Arm("a B", make_config()))}, "share the folder"),
        ({"arms": (Arm("?", make_config()),)}, "no letter or digit"),
        ({"arms": ()}, "nothing to run"),
        ({"seeds": ()}, "nothing to run"),
        ({"seeds": (1, 1)}, "repeats a seed"),
        ({"baseline": "LSTN"}, "did you mean 'LSTM'"),
        ({"matched": ("parameter",)}, "did you mean 'parameters'"),
        ({"matched": ("parameters", "non_embedding_parameters")}, "leave one out"),
        ({"matched": ("state_bytes", "parameters")}, "parameters and state_bytes.*leave one out"),
        (
            {"matched": ("parameters", "training_flops", "training_tokens")},
            "two of them decide the third",
        ),
        ({"matched": (), "target": 10}, "has a target and matches nothing"),
        ({"target": 0}, "give a number above 0"),
        ({"target": float("inf")}, "give a number above 0"),
        ({"arms": (Arm("A\x1b[31m", make_config()),)}, "has a control character"),
        (
            {"arms": (Arm("A", make_config(), choices={"data.vocabulary_size": (10, 99)}),)},
            "lets validation choose data.vocabulary_size",
        ),
        (
            {"arms": (Arm("A", make_config()).with_fields({"evaluation.splits": ("test",)}),)},
            "sets evaluation.splits",
        ),
        ({"tuning": Tuning({"data.length": (1, 2)})}, "lets validation choose data.length"),
        ({"tuning": Tuning({"evaluation.rows": (1, 2)})}, "lets validation choose evaluation.rows"),
        ({"tuning": Tuning({"training.duration": ("1 steps",)})}, "not its duration"),
        ({"tuning": Tuning({"training.beta1": (0.9, 0.9)})}, "give each once"),
        ({"tuning": Tuning({"training.beta1": ()})}, "give each once"),
        ({"tuning": Tuning({"training.initial_params": ("a", "b")})}, "begin with the same"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        make_study(**{"baseline": "A b"} | fields if "arms" in fields else fields)


def test_candidates_are_all_combinations_and_leave_the_arm_as_it_is():
    choices = {"model.width": (8, 16), "training.learning_rate": (0.1, 0.2)}
    arm = Arm("A", make_config(), choices=choices)
    candidates = arm.candidates()
    assert list(candidates) == [
        f"width={width},learning_rate={rate}" for width in (8, 16) for rate in (0.1, 0.2)
    ]
    for name, candidate in candidates.items():
        fields = candidate.config.model.width, candidate.config.training.learning_rate
        assert name == "width={},learning_rate={}".format(*fields)
        assert not candidate.choices
    assert arm.config == make_config()


def test_a_mistyped_field_is_an_error_that_names_the_nearest():
    with pytest.raises(UserError, match=r"did you mean 'model\.width'"):
        Arm("A", make_config()).with_fields({"model.widht": 3})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": 3}, "has seeds=3; give a tuple"),
        ({"seeds": (0, 1.5)}, "the seed 1.5; give whole numbers from 0 to 4294967295"),
        ({"seeds": (-1,)}, "the seed -1"),
        ({"seeds": ("0",)}, "the seed '0'"),
        ({"matched": "parameters"}, "has matched='parameters'; give a tuple"),
    ],
)
def test_seeds_and_what_is_matched_are_of_their_kinds(fields, message):
    with pytest.raises(UserError, match=re.escape(message)):
        make_study(**fields)


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"size_field": "training.learning_rate"}, "sized by training.learning_rate, which is no"),
        ({"size_field": "model.cell"}, "sized by model.cell, which is no whole number"),
        ({"fine_field": "model.dropout"}, "sized by model.dropout"),
        ({"multiple_of": 0}, "has multiple_of=0; give 1 or more"),
    ],
)
def test_a_size_is_a_whole_number_of_the_model(arm, message):
    with pytest.raises(UserError, match=re.escape(message)):
        make_study(arms=(Arm("LSTM", make_config(), **arm),))
