import json
import os

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.runs.files import read_json, to_json, write_atomically


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_json_is_strict_and_plain():
    value = {
        "nan": float("nan"),
        "deep": [np.float32("inf"), (1, -np.inf)],
        "numbers": [np.int64(3), np.float32(0.5), jnp.float32(2), np.bool_(True)],
        "text": "naïve 日本 \n",
        "none": None,
    }
    assert json.loads(to_json(value), parse_constant=refuse) == {
        "nan": None,
        "deep": [None, [1, None]],
        "numbers": [3, 0.5, 2.0, True],
        "text": "naïve 日本 \n",
        "none": None,
    }


def test_what_json_has_no_form_for_is_refused():
    with pytest.raises(TypeError):
        to_json({"value": object()})


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, operation):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_broken_json_is_named(tmp_path):
    (tmp_path / "broken.json").write_text('{"a": ')
    with pytest.raises(UserError, match="broken.json is not valid JSON"):
        read_json(tmp_path / "broken.json")
