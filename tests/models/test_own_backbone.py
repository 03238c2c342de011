"""A model of one's own as a classifier's backbone, from the command line to the trained run."""

import json

import numpy as np

from lmjax.api import load
from lmjax.cli.main import main
from lmjax.models.registry import build_model

OWN = """
import flax.linen as nn
from lmjax.models.contract import LanguageModel

class Embeddings(LanguageModel):
    width: int = 4
    shift: float = -0.5

    @nn.compact
    def hidden_BTD(self, tokens_BT, **context):
        return self.shift + nn.Embed(self.vocabulary_size, self.width, name="table")(tokens_BT)
"""
CONFIG = """
from lmjax.config import base_config

def get_config():
    config = base_config("classifier")
    config.data.update(corpus="parallel", files={files!r}, source_tokenizer="word", batch_size=4)
    config.training.duration = "4 steps"
    return config
"""


def test_it_trains_and_is_read_back(tmp_path, monkeypatch, capsys):
    rows = [{"source": f"{number} is here", "target": str(number % 2)} for number in range(200)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "config.py").write_text(CONFIG.format(files=str(tmp_path / "pairs.jsonl")))
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    command = [
        "train",
        "--config=config.py",
        "--config.model.backbone.name=mine.py:Embeddings",
        "--config.model.backbone.width=3",
        "--config.model.pooling=max",
    ]
    assert main([*command, "--workdir=run"]) == 0, capsys.readouterr().err
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["model"]
    assert kept["backbone"]["name"] == "mine.py:Embeddings" and kept["backbone"]["width"] == 3
    assert (tmp_path / "run" / "mine.py").read_text() == OWN
    trained = load(tmp_path / "run")
    assert trained.params["params"]["backbone"]["table"]["embedding"].shape[1] == 3
    again = build_model(trained.config.model, trained.tokenizer)
    assert again == trained.model and np.isfinite(again.backbone.shift)
    assert main([*command, "--config.model.backbone.widht=3", "--workdir=other"]) == 2
    assert "widht" in (error := capsys.readouterr().err) and "did you mean 'width'" in error


def test_a_field_of_no_backbone_is_refused(tmp_path, capsys):
    (tmp_path / "config.py").write_text(CONFIG.format(files=""))
    given = ["doctor", "model", f"--config={tmp_path}/config.py"]
    assert main([*given, "--config.model.backbone.name=rnnn"]) == 2
    assert "did you mean 'rnn'" in capsys.readouterr().err
