"""A checkpoint goes on with the run that it is of, and with no other."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lmjax.checkpoints.identity import check_identity, identity
from lmjax.config import base_config
from lmjax.data.dataset import open_dataset
from lmjax.errors import UserError


@pytest.fixture
def config(tmp_path):
    rows = [{"source": f"w{i} a b", "target": f"t{i}"} for i in range(240)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "paraphrases.jsonl").write_text('{"source": "w0 a b", "prediction": "b a"}\n')
    (tmp_path / "vectors.txt").write_text("a 1 0\nb 0 1\n")
    config = base_config("classifier")
    config.data.update(corpus="parallel", files=str(tmp_path / "pairs.jsonl"), tokenizer="word")
    config.data.update(source_tokenizer="word", augmentation=("replace=0.1",))
    config.data.update(augmentation_vectors=str(tmp_path / "vectors.txt"))
    config.data.update(paraphrases=str(tmp_path / "paraphrases.jsonl"))
    return config


def stream_of(config):
    return open_dataset(config.data).splits["train"]


@pytest.mark.parametrize("field", ["paraphrases", "augmentation_vectors"])
def test_a_file_that_changed_since_is_refused_and_one_that_is_gone_is_not_read(field, config):
    about = json.loads(json.dumps(identity(config, stream_of(config))))
    check_identity(about, config, stream_of(config), Path("run"))
    file = Path(config.data[field])
    file.write_text(file.read_text().replace("b", "c"))
    with pytest.raises(UserError, match=f"data.{field} .*{file.name}.* has changed since"):
        check_identity(about, config, stream_of(config), Path("run"))
    del about["files"]  # as of a checkpoint that was written without them
    check_identity(about, config, stream_of(config), Path("run"))
    file.unlink()
    assert stream_of(config).fingerprint == about["stream"]


def test_other_tokens_and_another_configuration_are_refused(config):
    stream = stream_of(config)
    about = identity(config, stream)
    with pytest.raises(UserError, match="no longer gives the tokens"):
        check_identity(about, config, replace(stream, fingerprint="a-b"), Path("run"))
    config.training.duration = "9 steps"
    check_identity(about, config, stream, Path("run"))
    config.seed += 1
    with pytest.raises(UserError, match="run is of another configuration"):
        check_identity(about, config, stream, Path("run"))
