"""From the name of an output layer and its options to the layer."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.nn.adaptive_softmax import AdaptiveSoftmax
from lmjax.nn.mixture_of_softmaxes import MixtureOfSoftmaxes
from lmjax.nn.options import part_maker
from lmjax.nn.output_layers import OutputLayer
from lmjax.nn.softmax_output import Softmax

OUTPUTS = {
    "softmax": Softmax,
    "adaptive_softmax": AdaptiveSoftmax,
    "mixture_of_softmaxes": MixtureOfSoftmaxes,
}


def output_maker(
    name: str,
    options: Mapping[str, Any],
    *,
    vocabulary_size: int,
    width: int,
    table_width: int,
    initializer: Initializer,
    bias: bool = False,
    logits_cap: float = 0.0,
    prefix: str = "",
    one_pass: bool = False,
) -> Callable[..., OutputLayer]:
    """Makes the layer of that name with its options; the others are fields of `OutputLayer`.

    Raises UserError for an unknown name or option, one of another type, and a value that the layer
    refuses.
    """
    if name not in OUTPUTS:
        raise UserError(f"unknown model.output {name!r}: {nearest(name, OUTPUTS)}")
    known = vocabulary_size, width, table_width, bias, logits_cap, initializer, prefix, one_pass
    part = partial(OUTPUTS[name], *known)
    return part_maker("output layer", name, part, options, {}, "model.output_options")


def check_ids(name: str, ids_by_frequency: bool) -> None:
    """Raises UserError for an output layer that needs ids to count from the most frequent token."""
    if name in OUTPUTS and OUTPUTS[name].orders_ids and not ids_by_frequency:
        raise UserError(
            f"output {name!r} needs tokens whose ids count from the most frequent on, as those of "
            "data.tokenizer='word' do, and this tokenizer's don't; set data.tokenizer='word', or "
            "model.output='softmax'"
        )
