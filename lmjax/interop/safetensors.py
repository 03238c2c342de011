"""Weights in the safetensors format: nothing of a file is used before its header is checked.

A file is the length of its header in 8 bytes, the header in JSON (each tensor's name, dtype, shape
and place), and the tensors, one behind the other without a gap.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lmjax.errors import UserError
from lmjax.runs.fields import is_count, is_text
from lmjax.runs.files import parse_json, regular_size

MOST_HEADER_BYTES = 4 << 20
MOST_DIMENSIONS = 8
LONGEST_NAME = 200  # characters
METADATA = "__metadata__"
BYTES = dict(F64=8, F32=4, F16=2, BF16=2, I64=8, I32=4, I16=2, I8=1, U64=8, U32=4, U16=2, U8=1)
BYTES |= dict(BOOL=1)


@dataclass(frozen=True)
class TensorInfo:
    """What the header says of one tensor."""

    dtype: str  # one of BYTES
    shape: tuple[int, ...]
    begin: int  # bytes from the end of the header
    end: int


def read_header(path: Path) -> dict[str, TensorInfo]:
    """The tensors of a file in the order in which they lie there.

    Raises UserError for what is no whole file of this format: a header that is too long or no JSON,
    repeats a name or names an unknown dtype, tensors that overlap, leave a gap or lie outside.
    """
    size = regular_size(path)
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise ValueError(f"it has {size:,} bytes, and its header {length:,}")
            if length > MOST_HEADER_BYTES:
                raise ValueError(
                    f"its header has {length:,} bytes, over the limit of {MOST_HEADER_BYTES:,}"
                )
            header = parse_json(file.read(length))
        return _checked(header, size - 8 - length)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is no sound safetensors file: {error}; fetch it or save it again"
        ) from error


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Each tensor of a file by its name, in host memory; raises UserError as `read_header`."""
    names = read_header(path)
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise UserError(f"cannot read {path}: {error}; fetch it or save it again") from error


def safetensors_bytes(tensors: dict[str, np.ndarray]) -> bytes:
    """The file that holds `tensors`; the same for the same tensors."""
    whole = {name: np.asarray(tensor, order="C") for name, tensor in sorted(tensors.items())}
    return save(whole, metadata={"format": "pt"})  # what transformers looks for


def _checked(header: Any, data_bytes: int) -> dict[str, TensorInfo]:
    """The tensors of a header; raises ValueError if they are not exactly the `data_bytes`."""
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(map(is_text, metadata.values())):
        raise ValueError(f"{METADATA} is not text by name")
    found = {name: _tensor(name, value) for name, value in header.items()}
    found = dict(sorted(found.items(), key=lambda item: (item[1].begin, item[1].end)))
    end = 0
    for name, tensor in found.items():
        if tensor.begin != end:
            fault = "overlaps with another one" if tensor.begin < end else "lies behind a gap"
            raise ValueError(f"{name!r} {fault}")
        end = tensor.end
    if end != data_bytes:
        raise ValueError(f"its tensors have {end:,} bytes, and {data_bytes:,} are there")
    return found


def _tensor(name: str, value: Any) -> TensorInfo:
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError(f"{name[:LONGEST_NAME]!r} is no name of a tensor")
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name!r} has not dtype, shape and data_offsets alone")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not is_text(dtype) or dtype not in BYTES:
        raise ValueError(f"{name!r} is of dtype {str(dtype)[:20]!r} (known: {', '.join(BYTES)})")
    if not _are_counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"{name!r} has no shape of at most {MOST_DIMENSIONS} dimensions")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{name!r} has no two data_offsets")
    begin, end = offsets
    if end - begin != prod(shape) * BYTES[dtype]:
        raise ValueError(f"{name!r} has other bytes than its shape and dtype need")
    return TensorInfo(dtype, tuple(shape), begin, end)


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_count, value))
