"""How much text a model has read when it is scored."""

from dataclasses import dataclass

from lmjax.errors import UserError, nearest

CONTEXTS = ("carried", "windowed", "documents")


@dataclass(frozen=True)
class ContextPolicy:
    """How much text a model has read when it is scored on a target; every target is scored once.

    `carried`: the stream in `rows` contiguous rows, each of which is read to its end with one
    carry, which starts anew at each document if `by_document`. A row begins `overlap` tokens before
    its first target, which are read and not scored, so that a score hardly depends on where rows
    begin. `windowed`: windows of `window` tokens, each read anew; the first is scored on all its
    targets, the next ones, `stride` further each, on their last `stride`. `documents`: each
    document is read alone, after its source if it has one.
    """

    kind: str = "carried"  # carried | windowed | documents
    rows: int = 1  # carried
    overlap: int = 0  # carried, in tokens
    by_document: bool = False  # carried
    window: int = 0  # windowed, in tokens
    stride: int = 0  # windowed, in tokens; 0: the window
    chunk: int = 128  # carried: tokens a batch, which the score does not depend on
    longest: int = 1 << 14  # documents, in tokens; a longer one is refused

    def __post_init__(self):
        if self.kind not in CONTEXTS:
            known = nearest(self.kind, CONTEXTS)
            raise UserError(f"unknown evaluation.context {self.kind!r}: {known}")
        if self.kind == "carried" and (self.rows < 1 or self.chunk < 1):
            raise UserError(f"evaluation.rows is {self.rows}; give at least 1")
        if self.overlap < 0:
            raise UserError(f"evaluation.overlap is {self.overlap}; give at least 0")
        if self.kind == "windowed" and not (self.window > 0 and 0 <= self.stride <= self.window):
            raise UserError(
                f"evaluation.window is {self.window} and stride {self.stride}; "
                "give a window of at least 1 and a stride from 1 to the window"
            )

    @property
    def name(self) -> str:
        """What a metric's name says of the context."""
        if self.kind == "windowed":
            return f"windowed_{self.window}_stride_{self.stride or self.window}"
        if self.kind == "documents":
            return "documents"
        carried = "carried_by_document" if self.by_document else "carried"
        return carried if self.rows == 1 else f"{carried}_{self.rows}_rows_overlap_{self.overlap}"
