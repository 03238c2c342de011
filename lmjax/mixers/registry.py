"""From the name of a mixer and its options to the mixer."""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import flax.linen as nn

from lmjax.errors import UserError, nearest
from lmjax.mixers.contract import Mixer
from lmjax.nn.options import part_maker

MIXERS = {
    "attention": "lmjax.mixers.attention:Attention",
    "base_conv": "lmjax.mixers.base_conv:BaseConv",
    "delta_net": "lmjax.mixers.delta_net:DeltaNet",
    "differential_attention": "lmjax.mixers.differential_attention:DifferentialAttention",
    "gated_delta_net": "lmjax.mixers.gated_delta_net:GatedDeltaNet",
    "gated_linear_attention": "lmjax.mixers.gated_linear_attention:GatedLinearAttention",
    "hyena": "lmjax.mixers.hyena:Hyena",
    "layer_norm_lstm": "lmjax.mixers.layer_norm_lstm:LayerNormLSTM",
    "lightning_attention": "lmjax.mixers.lightning_attention:LightningAttention",
    "linear_attention": "lmjax.mixers.linear_attention:LinearAttention",
    "lru": "lmjax.mixers.lru:LRU",
    "mamba": "lmjax.mixers.mamba:Mamba",
    "mamba2": "lmjax.mixers.mamba2:Mamba2",
    "min_gru": "lmjax.mixers.min_gru:MinGRU",
    "min_lstm": "lmjax.mixers.min_lstm:MinLSTM",
    "mlstm": "lmjax.mixers.mlstm:MLSTM",
    "mlstm_large": "lmjax.mixers.mlstm_large:MLSTMLarge",
    "mogrifier_lstm": "lmjax.mixers.mogrifier_lstm:MogrifierLSTM",
    "multi_head_latent_attention": (
        "lmjax.mixers.multi_head_latent_attention:MultiHeadLatentAttention"
    ),
    "peephole_lstm": "lmjax.mixers.peephole_lstm:PeepholeLSTM",
    "projected_lstm": "lmjax.mixers.projected_lstm:ProjectedLSTM",
    "qrnn": "lmjax.mixers.qrnn:QRNN",
    "recurrent": "lmjax.mixers.recurrent_layer:RecurrentLayer",
    "retention": "lmjax.mixers.retention:Retention",
    "rg_lru": "lmjax.mixers.rg_lru:RGLRU",
    "rwkv4": "lmjax.mixers.rwkv4:RWKV4",
    "rwkv7": "lmjax.mixers.rwkv7:RWKV7",
    "rwkv_channel_mixing": "lmjax.mixers.rwkv_channel_mixing:RWKVChannelMixing",
    "s4d": "lmjax.mixers.s4d:S4D",
    "sliding_window": "lmjax.mixers.sliding_window:SlidingWindowAttention",
    "slstm": "lmjax.mixers.slstm:SLSTM",
    "sru": "lmjax.mixers.sru:SRU",
    "stack_rnn": "lmjax.mixers.stack_rnn:StackRNN",
    "tape_rnn": "lmjax.mixers.tape_rnn:TapeRNN",
    "transformer_xl": "lmjax.mixers.transformer_xl:TransformerXL",
}


def mixer_class(name: str, own: Mapping[str, type[Mixer]] = MappingProxyType({})) -> type[Mixer]:
    """One of MIXERS or of a model's `own`; raises UserError, with the nearest name, for others."""
    if name in own:
        return own[name]
    if name not in MIXERS:
        hint = nearest(name, {*MIXERS, *own})
        raise UserError(f"unknown mixer {name!r} in model.pattern: {hint}")
    module, attribute = MIXERS[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def mixer_maker(
    name: str,
    options: Mapping[str, Any],
    given: Mapping[str, Any],
    own: Mapping[str, type[Mixer]] = MappingProxyType({}),
) -> Callable[..., Mixer]:
    """Makes the mixer of that name with its options, and of what is `given` the fields it has.

    `own` are the mixers of one model, which are in no registry.

    Raises UserError for an unknown option, one of another type, and a value that the mixer refuses.
    """
    return part_maker("mixer", name, mixer_class(name, own), options, given, "model.mixers")


def told_its_layer(make_mixer: Callable[..., nn.Module], layer: int) -> Callable[..., nn.Module]:
    """What makes a layer's mixer, which is told the layer's number if it has a field `layer`."""
    fields = getattr(getattr(make_mixer, "func", make_mixer), "__dataclass_fields__", {})
    return partial(make_mixer, layer=layer) if "layer" in fields else make_mixer
