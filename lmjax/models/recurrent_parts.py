"""What recurrent models share: their layers, and checks of their fields."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.contract import Mixer
from lmjax.mixers.recurrent_layer import CELLS
from lmjax.mixers.recurrent_mixer import RecurrentMixer
from lmjax.mixers.registry import MIXERS, mixer_class, mixer_maker


def recurrent_names() -> list[str]:
    """What `cell` of a recurrent model may be: cells, and mixers that are recurrent layers."""

    def widens(mixer):
        """Whether x may be of another width than y."""
        return issubclass(mixer, RecurrentMixer) or hasattr(mixer, "input_width")

    found = [name for name in MIXERS if widens(mixer_class(name))]
    return [*CELLS, *(name for name in found if name != "recurrent")]


def recurrent_maker(
    cell: str, options: Mapping[str, Any], initializer: Initializer, **given: Any
) -> Callable[..., Mixer]:
    """Makes a layer of a recurrent model of such a cell; raises UserError as `mixer_maker`.

    `given` are its `width`, its `input_width` and its `forget_bias`.
    """
    given |= dict(bias=True, initializer=initializer, output_initializer=initializer)
    if "cell" in options:
        raise UserError("options of a cell name another one; give it as model.cell")
    if cell in CELLS:
        return mixer_maker("recurrent", {**options, "cell": cell}, given)
    return mixer_maker(cell, options, given)


def check_layers(
    cell: str,
    layers: int,
    width: int,
    dropout: float,
    forget_bias: float,
    cells: Collection[str] = CELLS,
) -> None:
    """Raises UserError for an unknown cell, sizes out of range, or a bias where nothing forgets."""
    if cell not in cells:
        raise UserError(f"unknown model.cell {cell!r}: {nearest(cell, cells)}")
    if layers < 1 or width < 1:
        raise UserError(
            f"{layers} layers of width {width}; model.layers and model.width are at least 1"
        )
    if not 0 <= dropout < 1:
        raise UserError(f"model.dropout is {dropout}; it is at least 0 and below 1")
    if forget_bias and cell in CELLS and CELLS[cell].forget_gate is None:
        raise UserError(
            f"model.forget_bias is {forget_bias}, but a cell {cell!r} has no forget "
            "gate; set it to 0 or model.cell to 'lstm'"
        )
