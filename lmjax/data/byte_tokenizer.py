"""The tokenizer whose tokens are bytes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmjax.data.tokenizer import Ids, Tokenizer, utf8


@dataclass(frozen=True)
class ByteTokenizer(Tokenizer):
    """The 256 bytes of UTF-8, then `<eos>` if `document_end`."""

    document_end: bool
    kind: ClassVar[str] = "byte"
    newline_id: ClassVar[int] = ord("\n")

    @property
    def vocabulary_size(self) -> int:
        return 256 + self.document_end

    @property
    def end_id(self) -> int | None:
        return 256 if self.document_end else None

    def extends(self, other: Tokenizer) -> bool:
        return isinstance(other, ByteTokenizer) and self.document_end > other.document_end

    def encode_piece(self, piece: str) -> np.ndarray:
        return np.frombuffer(utf8(piece), np.uint8).astype(np.int32)

    def piece_places(self, piece: str) -> np.ndarray:
        is_first_N = (self.encode_piece(piece) & 0b11000000) != 0b10000000
        return np.cumsum(is_first_N, dtype=np.int64) - 1

    def decode(self, ids: Ids) -> str:
        ids_N = np.asarray(ids, np.int64)
        ids_N = np.where(ids_N == 256, self.newline_id, ids_N)
        return ids_N.astype(np.uint8).tobytes().decode("utf-8", "replace")
