import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load, save

from lmjax.errors import UserError
from lmjax.interop import safetensors
from lmjax.interop.safetensors import read_header, read_safetensors, safetensors_bytes

TENSORS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.long.name": np.arange(5, dtype=np.int64),
    "half": np.arange(4, dtype=np.float16),
    "none": np.zeros((0, 3), np.float32),
    "scalar": np.array(7, np.float32),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def written(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(begin=0, end=8, dtype="F32", shape=(2,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def test_what_is_written_is_read(path):
    path.write_bytes(safetensors_bytes(TENSORS))
    found = read_safetensors(path)
    assert found.keys() == TENSORS.keys()
    for name, expected in TENSORS.items():
        assert found[name].dtype == expected.dtype and np.array_equal(found[name], expected)


def test_the_bytes_are_a_function_of_the_tensors_also_of_transposed_ones():
    turned = dict(reversed(TENSORS.items()))
    turned["b"] = np.asfortranarray(turned["b"])
    assert safetensors_bytes(turned) == safetensors_bytes(TENSORS)
    assert np.array_equal(load(safetensors_bytes(turned))["b"], TENSORS["b"])


def test_sixteen_bits_of_either_kind_are_read(path):
    expected = np.array([1.5, -2, 3e38], ml_dtypes.bfloat16)
    path.write_bytes(written({"a": tensor(0, 6, "BF16", (3,))}, expected.view(np.uint16).tobytes()))
    assert np.array_equal(read_safetensors(path)["a"].astype(np.float32), expected.astype("f4"))


def test_the_header_says_what_the_library_wrote(path):
    path.write_bytes(save(TENSORS, {"format": "pt"}))
    shapes = {name: info.shape for name, info in read_header(path).items()}
    assert shapes == {name: value.shape for name, value in TENSORS.items()}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "0 bytes"),
        (b"\x02", "1 bytes"),
        (written(b"{}", length=2**63), "its header 9,223,372,036,854,775,808"),
        (written(b" " * (5 << 20)), "over the limit of 4,194,304"),
        (written(b"[]"), "no object"),
        (written(b'{"a": ' + b"[" * 100_000), "brackets within brackets"),
        (written(b'{"a": 1, "a": 1}'), "'a' is there twice"),
        (written(b"\x80\x04N."), "utf-8"),
        (written({"__metadata__": {"a": 1}}), "not text by name"),
        (written({"a": tensor()}, bytes(7)), "8 bytes, and 7 are there"),
        (written({"a": tensor()}, bytes(9)), "8 bytes, and 9 are there"),
        (written({"a": tensor(), "b": tensor(4, 12)}, bytes(12)), "'b' overlaps"),
        (written({"a": tensor(), "b": tensor()}, bytes(8)), "'b' overlaps"),
        (written({"a": tensor(), "b": tensor(9, 17)}, bytes(17)), "'b' lies behind a gap"),
        (written({"a": tensor(8, 0)}, bytes(8)), "other bytes"),
        (written({"a": tensor(-8, 0)}, bytes(8)), "no two data_offsets"),
        (written({"a": tensor(0, 8.0)}, bytes(8)), "no two data_offsets"),
        (written({"a": tensor(0, 8, "F4")}, bytes(8)), "of dtype 'F4'"),
        (written({"a": tensor(0, 8, ["F32"])}, bytes(8)), "of dtype"),
        (written({"a": tensor(0, 8, shape=(2**62, 2**62, 4))}, bytes(8)), "other bytes"),
        (written({"a": tensor(0, 8, shape=(1,) * 9)}, bytes(8)), "8 dimensions"),
        (written({"a": tensor(0, 8, shape=(True, 2))}, bytes(8)), "dimensions"),
        (written({"a": {**tensor(), "code": 1}}, bytes(8)), "alone"),
        (written({"a\0": tensor()}, bytes(8)), "no name of a tensor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_sound_file_is_refused(path, content, told):
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_safetensors(path)
    assert told in str(error.value) and "; fetch it" in str(error.value)


def test_every_truncation_is_refused(path):
    whole = safetensors_bytes(TENSORS)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError):
            read_safetensors(path)


def test_a_refused_header_never_reaches_the_library(path, monkeypatch):
    monkeypatch.setattr(safetensors, "safe_open", lambda *_, **__: pytest.fail("opened"))
    path.write_bytes(written({"a": tensor()}))
    with pytest.raises(UserError):
        read_safetensors(path)
