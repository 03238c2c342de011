"""`lmjax doctor`: exit code 0 where all is well, and 1 with the cause where something is not."""

import jax
import pytest

from lmjax.checks import decoding, self_test
from lmjax.checks.self_test import Check, Mode
from lmjax.cli.doctor import main as doctor_main
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.data.corpora import CORPORA, PTB
from lmjax.data.dataset import open_dataset
from lmjax.errors import UserError
from lmjax.models import registry
from lmjax.runs import diagnosis


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("LMJAX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def doctor(folders, capsys):
    """The exit code and what was printed, without the self-test."""

    def run(*arguments):
        code = main(["doctor", "--self_test=false", *arguments])
        return code, capsys.readouterr().out

    return run


def test_nothing_is_wrong_and_nothing_is_left_behind(folders, doctor):
    code, printed = doctor("--workdir=runs/new")
    assert code == 0 and "nothing is wrong" in printed
    assert "absent" in printed and "verified" not in printed
    assert list(folders.iterdir()) == []


def test_published_files_are_verified(data_dir, doctor, monkeypatch):
    monkeypatch.setenv("LMJAX_DATA_DIR", str(data_dir))
    code, printed = doctor()
    public = sum(len(source.files) for source in CORPORA.values())
    assert code == 0 and printed.count("verified") == public > 20


def test_a_corrupted_public_file_is_wrong(folders, doctor):
    file = folders / "data" / PTB["test"].path
    file.parent.mkdir(parents=True)
    file.write_text("not Penn Treebank")
    code, printed = doctor()
    assert code == 1 and "things that are wrong: 1" in printed
    assert f"wrong: {file} is corrupted" in printed


def test_a_damaged_dataset_is_wrong_and_a_sound_one_shows_its_fingerprints(folders, doctor):
    (folders / "notes.txt").write_text("".join(f"line {i}\n" for i in range(100)))
    config = base_config()
    config.data.corpus, config.data.files = "text", str(folders / "notes.txt")
    dataset = open_dataset(config.data)
    code, printed = doctor()
    assert code == 0 and dataset.splits["train"].fingerprint in printed
    tokens = dataset.folder / "train.tokens"
    tokens.write_bytes(tokens.read_bytes()[:-4])
    code, printed = doctor()
    assert code == 1 and f"{tokens} is damaged" in printed
    (dataset.folder / "dataset.json").unlink()
    code, printed = doctor()
    assert code == 1 and f"cannot read {dataset.folder}/dataset.json" in printed


def test_a_workdir_that_cannot_be_written_is_wrong(folders, doctor):
    (folders / "file").write_text("")
    code, printed = doctor("--workdir=file/run")
    assert code == 1
    assert f"wrong: workdir: {folders / 'file'} cannot be written to (Not a directory)" in printed


def test_a_disk_that_forgets_is_wrong(folders, doctor, monkeypatch):
    monkeypatch.setattr(diagnosis, "write_atomically", lambda path, content: path.write_bytes(b""))
    code, printed = doctor()
    assert code == 1 and "does not give back what was written" in printed


def test_little_room_is_wrong(doctor, monkeypatch):
    monkeypatch.setattr(diagnosis, "free_disk", lambda folder: 2**30)
    code, printed = doctor()
    assert code == 1 and "has less than 2.0 GiB free" in printed


def test_the_self_test_is_shown(folders, capsys, monkeypatch):
    monkeypatch.setattr(registry, "FAMILIES", {"ngram": registry.FAMILIES["ngram"]})
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "no jit" in printed and "log_probs_BT" in printed and "nothing is wrong" in printed


def test_a_failed_self_test_is_wrong(folders, capsys, monkeypatch):
    bad = Check("rnn", str(jax.devices()[0]), Mode(True, "default", 1e-5), "carry/states/0/0", 0.5)
    monkeypatch.setattr(self_test, "self_test", lambda *_: [bad])
    assert main(["doctor"]) == 1
    assert f"wrong: {bad}" in capsys.readouterr().out


def test_help_has_an_example(capsys):
    assert main(["doctor", "--help"]) == 0
    assert "example: lmjax doctor --workdir=runs/gpt" in capsys.readouterr().out


FORGETFUL = '''
import flax.linen as nn
import jax.numpy as jnp

from lmjax.models.contract import LanguageModel


class Forgetful(LanguageModel):
    """Reads the token before the last one, but not over the border of two chunks."""

    width: int = 4

    def initial_carry(self, batch_size, max_length):
        return jnp.zeros((batch_size, 1))

    @nn.compact
    def __call__(
        self, tokens_BT, carry=None, *, segment_ids_BT=None, positions_BT=None, deterministic=True
    ):
        x_BTD = nn.Embed(self.vocabulary_size, self.width)(tokens_BT)
        x_BTD += jnp.pad(x_BTD, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        return nn.Dense(self.vocabulary_size)(x_BTD), carry
'''


def test_the_properties_of_a_model_are_told(folders, capsys):
    (folders / "mine.py").write_text(FORGETFUL)
    assert main(["doctor", "model", "mine.py:Forgetful"]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "the carry does not hold all that they depend on" in printed
    assert "the model remembers what stood before" in printed
    assert printed.count(" ok ") >= 5

    (folders / "config.py").write_text(
        "from lmjax.config import base_config\n\ndef get_config():\n    return base_config('rnn')\n"
    )
    assert main(["doctor", "model", "--config=config.py", "--config.model.width=3"]) == 0
    assert main(["doctor", "model", "ngram"]) == 0
    assert "not tested: no TokenEmbedding" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either FILE.py:Class"),
        (["rnnn"], "did you mean 'rnn'"),
        (["mine.py:Forgetful", "more"], "unexpected argument 'more'"),
        (["other.py:Forgetful"], "the model cannot read a first row: NameError: name 'x_BT'"),
    ],
)
def test_what_no_model_is_given_by(folders, capsys, arguments, message):
    (folders / "mine.py").write_text(FORGETFUL)
    (folders / "other.py").write_text(FORGETFUL.replace("x_BTD = ", "x_BT + "))
    assert main(["doctor", "model", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_another_word_than_its_own_is_refused_with_those(folders, capsys):
    assert main(["doctor", "modell", "foo"]) == 2
    assert "doctor has no 'modell'; give one of model, decoding, replay" in capsys.readouterr().err


EXPERIMENT = """
from lmjax.config import base_config

def get_config(arg=""):
    config = base_config("rnn")
    config.model.update(width=8, layers=1)
    return config
"""


def test_decoding_prints_differences_and_bytes(folders, capsys):
    (folders / "small.py").write_text(EXPERIMENT)
    assert main(["doctor", "decoding", "small.py"]) == 0
    printed = capsys.readouterr().out
    assert "small" in printed and "bytes at 10,000" in printed and "wrong" not in printed


def test_decoding_says_what_is_wrong(folders, capsys, monkeypatch):
    monkeypatch.setattr(decoding, "relative", lambda found, expected: 1.0)
    (folders / "small.py").write_text(EXPERIMENT)
    assert main(["doctor", "decoding", "small.py"]) == 1
    assert "wrong: small: logits of 1000 tokens read one by one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "name an experiment"), (["ngram.py"], "no model that reads the past alone")],
    ids=["none", "counted"],
)
def test_what_cannot_be_decoded_is_named(folders, capsys, arguments, message):
    (folders / "ngram.py").write_text(
        EXPERIMENT.replace('"rnn"', '"ngram"').replace(
            "    config.model.update(width=8, layers=1)\n", ""
        )
    )
    with pytest.raises(UserError, match=message):
        doctor_main(["decoding", *arguments])
