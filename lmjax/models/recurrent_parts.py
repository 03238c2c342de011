"""What recurrent models share: checks of their fields, and the parameters of the softmax."""

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.recurrent_layer import find_cell


def check_layers(cell: str, layers: int, width: int, dropout: float, forget_bias: float) -> None:
    """Raises UserError for an unknown cell, sizes out of range, or a bias where nothing forgets."""
    if layers < 1 or width < 1:
        raise UserError(
            f"{layers} layers of width {width}; model.layers and model.width are at least 1"
        )
    if not 0 <= dropout < 1:
        raise UserError(f"model.dropout is {dropout}; it is at least 0 and below 1")
    if find_cell(cell).forget_gate is None and forget_bias:
        raise UserError(
            f"model.forget_bias is {forget_bias}, but a cell {cell!r} has no forget "
            "gate; set it to 0 or model.cell to 'lstm'"
        )


def check_tied(tied: bool, embedding_width: int, output_width: int) -> None:
    """Raises UserError if one table is to be both embedding and output weights, but can't be."""
    if tied and embedding_width != output_width:
        raise UserError(
            f"tied weights need embeddings as wide as what the softmax reads, {output_width}, "
            f"not {embedding_width}; set model.embedding_width={output_width} or "
            "model.tied=False"
        )


def output_parameters(
    module: nn.Module, width: int, vocabulary_size: int, tied: bool, initializer: Initializer
) -> tuple[jax.Array | None, jax.Array]:
    """`kernel_DV, bias_V` of a softmax as parameters of `module`; the kernel is None if tied."""
    kernel_DV = None
    if not tied:
        kernel_DV = module.param(
            "output_kernel",
            nn.with_logical_partitioning(initializer, ("embed", "vocab")),
            (width, vocabulary_size),
        )
    bias_V = module.param(
        "output_bias", nn.with_logical_partitioning(initializer, ("vocab",)), (vocabulary_size,)
    )
    return kernel_DV, bias_V
