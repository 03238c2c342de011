"""What a decoder's layers are made of, by the names and options of its configuration."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn

from lmjax.errors import UserError, nearest
from lmjax.mixers.convolved import ConvolvedMixer
from lmjax.mixers.registry import mixer_class, mixer_maker
from lmjax.models.contract import LanguageModel
from lmjax.models.stack import Stack
from lmjax.nn.feed_forward_registry import feed_forward_maker
from lmjax.nn.norms import NORMS
from lmjax.nn.positions import OF_SCORES, POSITIONS, NoPosition
from lmjax.nn.precision import DTYPES

# By their names; positions are what is added to embeddings.
PARTS = {
    "norm": NORMS,
    "position": {**POSITIONS, **dict.fromkeys(OF_SCORES, NoPosition)},
    "dtype": DTYPES,
}


def check_parts(model: LanguageModel) -> None:
    """Raises UserError for parts of a `Transformer` that are unknown or don't go together."""
    if model.layers < 1:
        raise UserError(f"model.layers is {model.layers}; it is at least 1")
    if not model.pattern:
        raise UserError("model.pattern is empty; name at least one mixer")
    if len(model.pattern) > model.layers:
        raise UserError(
            f"model.pattern names {len(model.pattern)} mixers for {model.layers} layers; give as "
            "many layers, or a shorter pattern"
        )
    for part, choices in PARTS.items():
        name = getattr(model, part)
        if name not in choices:
            raise UserError(f"unknown model.{part} {name!r}: {nearest(name, choices)}")
    kinds = [mixer_class(name, model.own_mixers) for name in model.pattern]
    if model.position in OF_SCORES and not any(hasattr(kind, "position") for kind in kinds):
        raise UserError(
            f"model.position {model.position!r} is of attention's scores, and no mixer of "
            f"model.pattern takes it; give one of {', '.join(POSITIONS)}"
        )
    if len(model.feed_forwards) not in (0, len(model.pattern)):
        raise UserError(
            f"model.feed_forwards names {len(model.feed_forwards)} feed-forward networks for "
            f"the {len(model.pattern)} mixers of model.pattern; give one for each, or none and "
            "model.feed_forward for all"
        )
    _check_options(model, "mixers", "model.pattern", model.pattern)
    _check_options(model, "feed_forward_options", _named_in(model), _feed_forwards(model))


def make_stack(model: LanguageModel, **parent: None) -> Stack:
    """The layers of a `Transformer`."""
    normal = nn.initializers.normal(model.initialization)
    residual = nn.initializers.normal(model.initialization / (2 * model.layers) ** 0.5)
    given = dict(
        layers=model.layers,
        width=model.width,
        heads=model.heads,
        bias=model.bias,
        dropout=model.dropout,
        norm_epsilon=model.norm_epsilon,
        position=model.position if model.position in OF_SCORES else "none",
        context_length=model.context_length,
        initializer=normal,
        output_initializer=residual,
    )
    inner = dict(inner_width=model.feed_forward_width or 4 * model.width)
    mixers = [
        mixer_maker(name, model.mixers.get(name, {}), given, model.own_mixers)
        for name in model.pattern
    ]
    if model.short_convolution:
        sizes = model.width, model.short_convolution, model.bias
        mixers = [partial(ConvolvedMixer, make, *sizes) for make in mixers]
    return Stack(
        layers=model.layers,
        mixers=tuple(mixers),
        norm=norm_maker(model),
        feed_forwards=tuple(
            feed_forward_maker(
                name, model.feed_forward_options.get(name, {}), given | inner, _named_in(model)
            )
            for name in _feed_forwards(model)
        ),
        dropout=model.dropout,
        remat=model.remat,
        scan=model.scan_layers,
        norm_order=model.norm_order,
        **parent,
    )


def norm_maker(model: LanguageModel) -> Callable[..., nn.Module]:
    """Makes a norm as all of a `Transformer` are."""
    return partial(NORMS[model.norm], bias=model.bias, epsilon=model.norm_epsilon)


def _feed_forwards(model: LanguageModel) -> tuple[str, ...]:
    """The name of one for each mixer of the pattern."""
    return model.feed_forwards or (model.feed_forward,) * len(model.pattern)


def _named_in(model: LanguageModel) -> str:
    """The field with the names of the feed-forward networks."""
    return "model.feed_forwards" if model.feed_forwards else "model.feed_forward"


def _check_options(model: LanguageModel, field: str, where: str, names: tuple[str, ...]) -> None:
    """That options are of what is there."""
    for name in getattr(model, field):
        if name not in names:
            raise UserError(
                f"model.{field} has options of {name!r}, which {where} does not name; "
                f"{nearest(name, names)}"
            )
