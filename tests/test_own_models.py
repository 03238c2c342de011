"""A model outside the package: named, trained, moved, loaded; and what is never executed."""

import json
import shutil
import sys
from hashlib import sha256

import pytest

import lmjax
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError
from lmjax.own_models import SOURCE

MODEL = '''
import flax.linen as nn
import jax.numpy as jnp

from lmjax.models.contract import LanguageModel


class Bigram(LanguageModel):
    """The next token from the last one, through plain layers of Flax."""

    width: int = 4
    scale: float = 1.0
    activation: str = "relu"
    kernel_init: object = nn.initializers.zeros

    def initial_carry(self, batch_size, max_length):
        return jnp.zeros((batch_size, 1))

    @nn.compact
    def __call__(
        self, tokens_BT, carry=None, *, segment_ids_BT=None, positions_BT=None, deterministic=True
    ):
        x_BTD = nn.Embed(self.vocabulary_size, self.width)(tokens_BT)
        bias = self.param("shift", nn.initializers.zeros, (self.width,))
        x_BTD = getattr(nn, self.activation)(nn.Dense(self.width)(x_BTD) + bias[None, None])
        return self.scale * nn.Dense(self.vocabulary_size)(x_BTD), carry
'''
CONFIG = """
from lmjax.config import base_config

def get_config(model="transformer"):
    config = base_config(model)
    config.data.update(
        corpus="text", files={files!r}, batching="stream", batch_size=2, length=8
    )
    config.evaluation.context = "carried"
    config.training.duration = "3 steps"
    return config
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model, an experiment, and the run of the one by the other."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "text.txt").write_text("a line of text\n" * 200)
    (folder / "config.py").write_text(CONFIG.format(files=str(folder / "text.txt")))
    (folder / "mine.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
        patch.chdir(folder)
        command = ["train", "--config=config.py", "--workdir=run"]
        changed = ["--config.model.name=mine.py:Bigram", "--config.model.width=6"]
        assert main(command + changed) == 0
    return folder


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """Elsewhere, where nobody has given that model to run."""
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("lmjax.own_models._given", set())
    monkeypatch.setattr("lmjax.own_models._modules", {})
    monkeypatch.setattr("lmjax.own_models._contents", {})
    shutil.copytree(folder / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fields_are_those_of_the_dataclass(folder):
    model = base_config(f"{folder}/mine.py:Bigram").model
    assert dict(model) == {
        "name": f"{folder}/mine.py:Bigram",
        SOURCE: sha256(MODEL.encode()).hexdigest(),
        "width": 4,
        "scale": 1.0,
        "activation": "relu",
    }


def test_it_loads_from_its_moved_directory_without_its_first_file(folder, here, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
    trained = lmjax.load("run")
    assert type(trained.model).__name__ == "Bigram" and trained.model.width == 6
    assert len(trained.generate("a line", length=5)) > 0
    assert main(["evaluate", "--workdir=run", "--split=validation"]) == 0


def test_plain_parameters_are_counted(folder):
    results = json.loads((folder / "run/results.json").read_text())
    width, words = 6, load_tokenizer(folder / "run/tokenizer.json").vocabulary_size
    dense = width * width + width + width * words + words + width
    assert results["parameters"]["non_embedding"] == dense
    assert results["parameters"]["total"] == dense + words * width


def plant(run, marker):
    """Puts code of somebody else in the place of the model's copy, with its digest."""
    content = f"open({str(marker)!r}, 'w')\n" + MODEL
    (run / "mine.py").write_text(content)
    config = json.loads((run / "config.json").read_text())
    config["model"][SOURCE] = sha256(content.encode()).hexdigest()
    (run / "config.json").write_text(json.dumps(config))


def test_what_only_a_run_directory_names_is_not_executed(folder, here, capsys):
    marker = here / "executed"
    plant(here / "run", marker)
    with pytest.raises(UserError, match="lmjax doctor model run/mine.py:Bigram"):
        lmjax.load("run")
    for command in (["evaluate", "--workdir=run"], ["sample", "--workdir=run"]):
        assert main(command) == 2
        assert "lmjax doctor model run/mine.py:Bigram" in capsys.readouterr().err
    assert main(["report", "--workdir=run"]) == 0
    assert not marker.exists()
    base_config("run/mine.py:Bigram")
    assert marker.exists() and lmjax.load("run").model.width == 6


@pytest.mark.parametrize("source", [None, "/", "..", 1, [], "0" * 63, "A" * 64, "known", "note"])
def test_a_run_directory_imports_no_module_that_was_not_named_here(
    folder, here, monkeypatch, source
):
    digest = sha256(MODEL.encode()).hexdigest()
    if source == "note":  # one of another model, which was named on this machine
        monkeypatch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
    (here / "its_own.py").write_text("open('executed', 'w')\n" + MODEL)
    monkeypatch.syspath_prepend(here)
    path = here / "run/config.json"
    config = json.loads(path.read_text())
    config["model"].update({"name": "its_own:Bigram", SOURCE: source})
    if source in ("known", "note"):
        config["model"][SOURCE] = digest
    if source == "known":
        base_config(f"{folder}/mine.py:Bigram")
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match="its_own:Bigram|64 hexadecimal digits"):
        lmjax.load("run")
    assert not (here / "executed").exists()
    assert "its_own" not in sys.modules


@pytest.mark.parametrize("name", ["../elsewhere.py:Bigram", "/mine.py:B"])
def test_a_run_names_no_file_of_another_folder(here, name):
    path = here / "run/config.json"
    config = json.loads(path.read_text())
    config["model"]["name"] = name
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match="no name of something in"):
        lmjax.load("run")


def test_a_field_of_another_type_is_named(folder, here, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
    path = here / "run/config.json"
    config = json.loads(path.read_text())
    config["model"]["width"] = "6"
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match="'width' should be: integer, not '6'"):
        lmjax.load("run")


def test_a_changed_copy_is_refused(folder, here, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
    (here / "run/mine.py").write_text(MODEL + "# more\n")
    with pytest.raises(UserError, match="run/mine.py has changed"):
        lmjax.load("run")
    (here / "run/mine.py").unlink()
    with pytest.raises(UserError, match="run/mine.py cannot be read"):
        lmjax.load("run")


def test_another_source_is_another_run(folder, here, capsys):
    (here / "mine.py").write_text(MODEL.replace("relu(", "relu(0.5 * "))
    changed = ["--config.model.name=mine.py:Bigram", "--config.model.width=6"]
    command = ["train", f"--config={folder}/config.py", "--workdir=run", *changed]
    assert main(command) == 0
    (here / "mine.py").write_text(MODEL + "# more\n")
    assert main(command) == 2
    assert SOURCE in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "mine.py:Bigram", "mine.py cannot be read (No such file or directory)"),
        (
            MODEL,
            "mine.py:Bigam",
            "mine.py has no class 'Bigam': did you mean 'Bigram'? (known: Bigram)",
        ),
        (MODEL + "\nclass Other: pass", "mine.py:Other", "mine.py:Other is no model: derive the"),
        (MODEL, "mine.py:LanguageModel", "is no model"),
        (MODEL + "\nf(", "mine.py:Bigram", "mine.py, line 28: '(' was never closed"),
        (MODEL + "\nmissing", "mine.py:Bigram", "mine.py, line 28: NameError: name 'missing'"),
        (MODEL + "\nexit(3)", "mine.py:Bigram", "mine.py, line 28: SystemExit: 3"),
        ("\0", "mine.py:Bigram", "mine.py"),
        ("# \xff", "mine.py:Bigram", "mine.py"),
        (
            MODEL.replace("width: int = 4", "width: int"),
            "mine.py:Bigram",
            "the field 'width' of mine.py:Bigram has no default",
        ),
        (MODEL, "mine.py:", "write 'FILE.py:Class'"),
        (MODEL, "no.such.module:Bigram", "module 'no.such.module' cannot be imported"),
        (MODEL, "math:Bigram", "math has no class 'Bigram'"),
    ],
)
def test_mistakes_take_one_line(folder, here, capsys, content, name, message):
    if content is not None:
        (here / "mine.py").write_bytes(content.encode("latin-1"))
    code = main(
        ["train", f"--config={folder}/config.py", f"--config.model.name={name}", "--workdir=new"]
    )
    error = capsys.readouterr().err
    assert code == 2 and message in error and len(error.splitlines()) == 1, error
    assert not (here / "new").exists()


def test_the_run_is_named_after_file_and_class_and_goes_on_by_its_folder(folder, here, capsys):
    assert main(["train", f"--config={folder}/config.py:{folder}/mine.py:Bigram"]) == 0
    (run,) = (here / "runs").iterdir()
    assert run.name.endswith("mine.py_Bigram-seed_0")
    results = (run / "results.json").read_bytes()
    (run / "results.json").unlink()
    assert main(["train", f"--workdir={run}"]) == 0
    again = json.loads((run / "results.json").read_text())
    assert again["model"] == "mine.py:Bigram"
    assert again["splits"] == json.loads(results)["splits"]


def test_a_field_that_the_class_has_not(folder, capsys):
    arguments = [f"--config.model.name={folder}/mine.py:Bigram", "--config.model.widht=3"]
    assert main(["train", f"--config={folder}/config.py", *arguments]) == 2
    assert "did you mean 'width'" in capsys.readouterr().err


def test_a_module_is_imported_and_named_in_the_run(folder, here, monkeypatch):
    (here / "package").mkdir()
    (here / "package/its_module.py").write_text(MODEL)
    monkeypatch.syspath_prepend(here / "package")
    config = base_config("its_module:Bigram")
    assert SOURCE not in config.model and config.model.width == 4
    command = ["train", f"--config={folder}/config.py:its_module:Bigram", "--workdir=new"]
    assert main(command) == 0
    assert lmjax.load("new").model.width == 4
    monkeypatch.setattr("lmjax.own_models._given", set())
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(here / "empty"))
    with pytest.raises(UserError, match="lmjax doctor model its_module:Bigram"):
        lmjax.load("new")


def test_a_flag_changes_the_family_and_its_fields(folder, here):
    def train(workdir, *arguments):
        command = ["train", f"--config={folder}/config.py", f"--workdir={workdir}"]
        return main([*command, "--config.model.name=rnn", *arguments])

    assert train("rnn", "--config.model.cell=gru", "--config.model.width=5") == 0
    model = json.loads((here / "rnn/config.json").read_text())["model"]
    assert (model["name"], model["cell"], model["width"], model["layers"]) == ("rnn", "gru", 5, 2)
    assert train("other", "--config.model.heads=2") == 2
