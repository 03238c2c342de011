"""From the name of a feed-forward network and its options to the network."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn

from lmjax.errors import UserError, nearest
from lmjax.nn.feed_forward import FEED_FORWARDS
from lmjax.nn.mixture_of_experts import MixtureOfExperts
from lmjax.nn.options import part_maker

NONE = "none"  # a layer is its mixer
CHOICES = {**FEED_FORWARDS, "mixture_of_experts": MixtureOfExperts}


def feed_forward_maker(
    name: str,
    options: Mapping[str, Any],
    given: Mapping[str, Any],
    field: str = "model.feed_forward",
) -> Callable[..., nn.Module] | None:
    """Makes the network of that name with its options; None for `none`.

    What is `given` is that which it has a field for; `field` is that of a configuration which has
    the name. Raises UserError for an unknown name or option, one of another type, and a value that
    the network refuses.
    """
    if name not in (NONE, *CHOICES):
        hint = nearest(name, (NONE, *CHOICES))
        raise UserError(f"unknown {field} {name!r}: {hint}")
    if name == NONE:
        if options:
            raise UserError("model.feed_forward_options has options of 'none'; leave them out")
        return None
    part, source = CHOICES[name], "model.feed_forward_options"
    return part_maker("feed-forward network", name, part, options, given, source)
