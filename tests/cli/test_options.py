"""Options of parts: given on the command line, and those of parts that it does not choose."""

import pytest

from lmjax.cli.flags import define_config, parse
from lmjax.cli.main import main
from lmjax.errors import UserError

CONFIG = """
from lmjax.config import base_config

def get_config(family="transformer"):
    config = base_config(family)
    config.data.update(corpus="text", files={files!r}, batch_size=2, length=8)
    config.evaluation.context = "windowed"
    config.model.update(width=8, layers=1)
    if family == "transformer":
        config.model.heads = 2
        config.model.mixers.attention = dict(rotary_share=1.0)
        config.model.feed_forward_options.gelu = {{}}
        config.model.output_options.chunk = 4
    if family == "awd_rnn":
        config.model.update(cell="mogrifier_lstm", tied=False)
        config.model.cell_options.rounds = 2
        config.model.first_options.rounds = 3
    config.data.task = "mqar"
    config.data.task_options.update(pairs=4, vocabulary=64)
    config.training.duration = "2 steps"
    return config
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"a line of text\n" * 200)
    path = tmp_path / "config.py"
    path.write_text(CONFIG.format(files=str(tmp_path / "text.txt")))
    return path


@pytest.fixture
def config_of(experiment):
    """A function from a model family and overrides to the configuration."""

    def read(family, *overrides):
        given = [f"--config={experiment}:{family}", *overrides]
        return parse("train", "", "", define_config, given).config

    return read


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (["=3"], 3),
        (["=0.5"], 0.5),
        (["=True"], True),
        (["=false"], False),
        (["=taylor"], "taylor"),
        (["='3'"], "3"),
        (["=(1, 2)"], "(1, 2)"),
        (["=" + "(" * 9999], "(" * 9999),
        (["=__import__('os').system('true')"], "__import__('os').system('true')"),
        (["", "3"], 3),
        ([""], True),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "model.mixers.attention.new",
        "model.mixers.other.new",
        "model.mixers.attention.rotary_share",
        "model.feed_forward_options.gelu.new",
        "model.output_options.new",
        "data.task_options.pairs",
        "data.task_options.new",
    ],
)
def test_an_option_has_the_plain_value_that_it_is_given(config_of, path, given, value):
    flag, *rest = given
    found = config_of("transformer", f"--config.{path}{flag}", *rest, "--config.seed=2")
    for key in path.split("."):
        found = found[key]
    assert found == value and type(found) is type(value)


def test_the_other_options_stay_and_the_configuration_is_locked(config_of):
    config = config_of("transformer", "--config.data.task_options.new=1", "--noconfig.model.tied")
    assert config.data.task_options.to_dict() == {"pairs": 4, "vocabulary": 64, "new": 1}
    assert config.model.mixers.attention.rotary_share == 1.0 and not config.model.tied
    with pytest.raises(AttributeError):
        config.model.new = 1
    config.model.mixers.new = {}


@pytest.mark.parametrize(
    ("family", "overrides", "changed"),
    [
        ("transformer", ["model.pattern=retention"], {"mixers": {}}),
        ("transformer", ["model.pattern=retention,attention"], {}),
        ("transformer", ["model.feed_forward=relu"], {"feed_forward_options": {}}),
        ("transformer", ["model.feed_forwards=none"], {"feed_forward_options": {}}),
        ("transformer", ["model.output=adaptive_softmax"], {"output_options": {}}),
        ("transformer", ["model.output=softmax"], {}),
        ("awd_rnn", ["model.cell=lstm"], {"cell_options": {}, "first_options": {}}),
        (
            "awd_rnn",
            ["model.cell_options.new=1", "model.cell=lstm"],
            {"cell_options": {"new": 1}, "first_options": {}},
        ),
        ("transformer", ["data.task=parity_check"], {"task_options": {}}),
    ],
)
def test_options_of_what_is_no_longer_chosen_are_left_out(
    config_of, capsys, family, overrides, changed
):
    before, _ = config_of(family), capsys.readouterr()
    after = config_of(family, *(f"--config.{override}" for override in overrides))
    said = capsys.readouterr().err.splitlines()
    for section in ("model", "data"):
        for name, value in before[section].items():
            if hasattr(value, "items"):
                expected = changed.get(name, value.to_dict())
                assert after[section][name].to_dict() == expected, name
    assert len(said) == len(changed)
    assert all("no longer chosen: " in line for line in said)
    assert all(any(name in line for line in said) for name in changed)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.mixers.attention.nwe=1"], "mixer 'attention' has no option 'nwe'"),
        (["model.mixers.attention.heads=two"], "'two'; give a value of type int"),
        (["model.mixers.attention.heads=" + "9" * 5000], "give a value of type int"),
        (["model.mixers.attention.heads=-1"], "model.mixers.attention.heads is -1"),
        (["model.mixers.attentoin.heads=1"], "did you mean 'attention'"),
        (["model.mixers.attention=1"], "give --config.model.mixers.NAME.OPTION=value"),
        (["model.mixers.attention.heads.a=1"], "give --config.model.mixers.NAME.OPTION=value"),
        (["model.output_options.a.b=1"], "give --config.model.output_options.OPTION=value"),
        (["model.output_options.chnk=1"], "did you mean 'chunk'"),
        (["model.mixers=1"], "'model.mixers' is no field"),
        (["model.pattern=retention", "model.mixers.attention.heads=1"], "options of 'attention'"),
        (["model.output=mixture_of_softmaxes", "model.output_options.min=1"], "option 'min'"),
    ],
)
def test_options_that_no_part_takes_are_refused(experiment, tmp_path, capsys, overrides, message):
    given = [f"--config={experiment}", f"--workdir={tmp_path}/run"]
    assert main(["train", *given, *(f"--config.{override}" for override in overrides)]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and len(error) < 700


def test_an_option_of_a_part_without_options_by_name_is_refused(experiment, tmp_path, capsys):
    text = experiment.read_text().replace("dict(rotary_share=1.0)", "5")
    experiment.write_text(text)
    given = ["train", f"--config={experiment}", f"--workdir={tmp_path}/run"]
    for override in ([], ["--config.model.mixers.attention.heads=1"]):
        assert main([*given, *override]) == 2
        assert "model.mixers.attention is 5; give options by name" in capsys.readouterr().err


def test_a_backbone_is_chosen_with_its_fields_and_options(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(
        "from lmjax.config import base_config\n"
        "def get_config():\n"
        "    return base_config('classifier')\n"
    )

    def read(*overrides):
        given = [f"--config={path}", *overrides]
        return parse("train", "", "", define_config, given).config.model.backbone

    assert read().name == "bert" and read("--config.model.backbone.width=64").width == 64
    backbone = read(
        "--config.model.backbone.name=transformer",
        "--config.model.backbone.pattern=mamba,attention",
        "--config.model.backbone.mixers.mamba.state_width=4",
        "--config.model.backbone.output_options.chunk=2",
    )
    assert backbone.pattern == ("mamba", "attention") and backbone.output_options.chunk == 2
    assert backbone.mixers.to_dict() == {"mamba": {"state_width": 4}}
    with pytest.raises(UserError, match="'model.backbone.mixers.mamba' is no option"):
        read("--config.model.backbone.name=transformer", "--config.model.backbone.mixers.mamba=4")
    with pytest.raises(UserError, match="did you mean 'cell'"):
        read("--config.model.backbone.name=rnn", "--config.model.backbone.cel=gru")
