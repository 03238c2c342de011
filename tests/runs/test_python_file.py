"""Experiment files as Python loads them; tests/studies/test_study.py has the mistakes."""

import re

import pytest
from ml_collections import ConfigDict

import lmjax

FILE = """
from lmjax.config import base_config

def get_config({parameters}):
    config = base_config("rnn")
    config.training.duration = {duration}
    return config
"""


@pytest.mark.parametrize(
    ("parameters", "duration", "argument", "expected"),
    [
        ("", "'7 steps'", "", "7 steps"),
        ("arg", "arg + '9 steps'", "", "9 steps"),
        ("arg='5 steps'", "arg", "", "5 steps"),
        ("arg='5 steps'", "arg", ":4 steps", "4 steps"),
    ],
)
def test_the_argument_after_the_colon_is_given_to_the_function(
    tmp_path, parameters, duration, argument, expected
):
    path = tmp_path / "experiment.py"
    path.write_text(FILE.format(parameters=parameters, duration=duration))
    config = lmjax.load_experiment(f"{path}{argument}")
    assert isinstance(config, ConfigDict) and config.training.duration == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\nf(", "experiment.py, line 2: '(' was never closed; mend the file"),
        ("import math\n\nmath.sqrt(-1)", "experiment.py, line 3: ValueError: math domain error"),
    ],
)
def test_the_line_that_failed_is_named(tmp_path, content, message):
    (tmp_path / "experiment.py").write_text(content)
    with pytest.raises(lmjax.UserError, match=re.escape(message)):
        lmjax.load_experiment(tmp_path / "experiment.py")


def test_a_study_file_is_told_apart(tmp_path):
    path = tmp_path / "study.py"
    path.write_text("def get_study(arg=''):\n    return None\n")
    with pytest.raises(lmjax.UserError, match="no get_config.*lmjax study --study="):
        lmjax.load_experiment(path)
