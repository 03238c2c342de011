"""docs/add_a_mixer.md is true: its files are written and its commands run as they stand there."""

import pytest

import lmjax
from lmjax.own_models import own_config
from tests.worked_page import WorkedPage

PAGE = WorkedPage("add_a_mixer.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with PAGE.followed_in(tmp_path_factory.mktemp("document"), "--config.model.width=16") as folder:
        yield folder


def test_its_runs_load_with_their_patterns(folder):
    own, package = (
        lmjax.load(folder / "runs" / name).model for name in ("moving_average", "package_mixers")
    )
    assert own.pattern == ("moving_average", "moving_average", "sliding_window", "mamba")
    assert package.mixers["sliding_window"]["window"] == 8
    assert own.longest_context is None and package.longest_context is None


def test_the_fields_of_its_model_are_the_transformers_with_its_own_defaults(folder):
    config = own_config("moving_average.py:MovingAverageModel")
    assert config["pattern"] == ("moving_average",) and config["position"] == "none"
    assert config["layers"] == 4


def test_every_block_is_run():
    assert PAGE.kinds == ["python", "sh", "python", "sh", "python", "sh"]
    assert len(PAGE.commands) == 4
