"""Hostile files of weights: of the safetensors format, and folders of models."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lmjax.interop.importing import import_folder
from lmjax.interop.safetensors import safetensors_bytes

MIB = 1 << 20


def file(header: Any, data: bytes = b"", length: int | None = None) -> Callable[[], bytes]:
    """Makes a file of a header, in JSON unless it is bytes, that claims to have that `length`."""

    def make() -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        claimed = len(text) if length is None else length
        return claimed.to_bytes(8, "little") + text + data

    return make


def tensor(begin: int, end: int, dtype: str = "F32", shape: tuple[int, ...] = (2,)) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def twice() -> bytes:
    one = json.dumps(tensor(0, 8))
    return file(f'{{"a":{one},"a":{one}}}'.encode(), bytes(8))()


def many() -> bytes:
    header = {f"t{i}": tensor(8 * i, 8 * i + 8) for i in range(40_000)}
    return file(header, bytes(8))()


FILES = {
    "empty": bytes,
    "a header of 2^63 bytes": file(b"{}", length=1 << 63),
    "a header of 60 MiB": file(b"{" + b" " * (60 * MIB) + b"}"),
    "a header, 100,000 lists deep": file(b'{"a":' + b"[" * 100_000),
    "a tensor twice": twice,
    "two tensors in one place": file({"a": tensor(0, 8), "b": tensor(0, 8)}, bytes(8)),
    "tensors that overlap": file({"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12)),
    "a gap": file({"a": tensor(0, 8), "b": tensor(16, 24)}, bytes(24)),
    "a tensor beyond the end": file({"a": tensor(0, 8)}, bytes(7)),
    "bytes behind the last tensor": file({"a": tensor(0, 8)}, bytes(9)),
    "an offset of 2^64": file({"a": tensor(1 << 64, (1 << 64) + 8)}, bytes(8)),
    "an offset below zero": file({"a": tensor(-8, 0)}, bytes(8)),
    "a tensor of 2^60 entries": file({"a": tensor(0, 1 << 62, shape=(1 << 60,))}, bytes(8)),
    "a shape whose product overflows to 2": file(
        {"a": tensor(0, 8, shape=((1 << 63) + 1, 2))}, bytes(8)
    ),
    "an unknown dtype": file({"a": tensor(0, 8, "PICKLE")}, bytes(8)),
    "40,000 tensors, truncated": many,
}


def model(change: Callable[[Path, dict], Any]) -> Callable[[Path], Path]:
    """A folder of a model after a change of its files or of what its config.json says."""

    def write(folder: Path) -> Path:
        described = {"model_type": "gpt2", "vocab_size": 5, "n_layer": 1, "n_embd": 4, "n_head": 1}
        weights = {"wte.weight": np.zeros((5, 4), np.float32)}
        (folder / "model.safetensors").write_bytes(safetensors_bytes(weights))
        words = {"kind": "word", "words": ["<eos>", "a", "b", "c"], "has_unknown": False}
        (folder / "tokenizer.json").write_text(json.dumps(words))
        change(folder, described)
        (folder / "config.json").write_text(json.dumps(described))
        return folder

    return write


def as_pickles(payload: Any) -> Callable[[Path, dict], None]:
    def change(folder: Path, _: dict) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(payload))

    return change


def named_weights(payload: Any) -> Callable[[Path, dict], None]:
    return lambda folder, _: (folder / "model.safetensors").write_bytes(pickle.dumps(payload))


def with_code(folder: Path, described: dict) -> None:
    described["auto_map"] = {"AutoModel": "code.py--Model"}
    (folder / "code.py").write_text("import os; os.system('touch $LMJAX_CANARY')")


def folders(payload: Any) -> dict[str, Callable[[Path], Path]]:
    """Folders of models; `payload` is what unpickling would execute."""
    return {
        "weights as a pickle": model(as_pickles(payload)),
        "a pickle named model.safetensors": model(named_weights(payload)),
        "code of its own": model(with_code),
        "10^6 layers": model(lambda _, described: described.update(n_layer=10**6)),
        "a width of 10^6": model(lambda _, described: described.update(n_embd=10**6)),
        "a context of 10^30": model(lambda _, described: described.update(n_positions=10**30)),
        "a list for a type": model(lambda _, described: described.update(model_type=["gpt2"])),
        "a path for a type": model(lambda _, described: described.update(model_type="../../a")),
        "no number of heads": model(lambda _, described: described.update(n_head=None)),
    }


def read_model(path: Path) -> None:
    import_folder(path, path / "run")
