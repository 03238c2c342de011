"""Weights of models that are built like LLaMA, by the names of ours."""

import numpy as np
from flax.traverse_util import unflatten_dict

LAYER = {  # what all of them have
    "input_layernorm.weight": "mixer_norm/scale",
    "post_attention_layernorm.weight": "feed_forward_norm/scale",
    "mlp.gate_proj.weight": "feed_forward/gate/kernel",
    "mlp.up_proj.weight": "feed_forward/up/kernel",
    "mlp.down_proj.weight": "feed_forward/down/kernel",
}
WHOLE = {
    "model.embed_tokens.weight": "embedding/embedding",
    "model.norm.weight": "final_norm/scale",
    "lm_head.weight": "head/kernel",
}


def to_ours(theirs, layers, mixer, layer_names=LAYER, whole_names=WHOLE):
    """Parameters of a Transformer; `mixer` makes a layer's, by name, of its weights by theirs."""
    weights = {name: value.detach().numpy() for name, value in theirs.state_dict().items()}
    found = {ours: turned(ours, weights[name]) for name, ours in whole_names.items()}
    for layer in range(layers):
        begin = f"model.layers.{layer}."
        own = {name.removeprefix(begin): weights[name] for name in weights if begin in name}
        named = {ours: turned(ours, own[name]) for name, ours in layer_names.items()}
        named |= {f"mixer/{name}": value for name, value in mixer(own).items()}
        found |= {f"blocks_{layer}/{name}": value for name, value in named.items()}
    return {"params": unflatten_dict(found, sep="/")}


def attention(weights):
    """Of queries, keys and values in one product, and what else a kind of attention may have."""
    found = {"output/kernel": weights["self_attn.o_proj.weight"].T}
    if "self_attn.o_proj.bias" in weights:
        found["output/bias"] = weights["self_attn.o_proj.bias"]
    for ours, theirs in (("kernel", "weight"), ("bias", "bias")):
        names = [f"self_attn.{part}_proj.{theirs}" for part in "qkv"]
        if names[0] in weights:
            found[f"qkv/{ours}"] = np.concatenate([weights[name].T for name in names], axis=-1)
    if "self_attn.sinks" in weights:
        found["sink"] = weights["self_attn.sinks"]
    for ours, theirs in (("query", "q"), ("key", "k")):
        if f"self_attn.{theirs}_norm.weight" in weights:
            found[f"{ours}_norm/scale"] = weights[f"self_attn.{theirs}_norm.weight"]
    return found


def turned(name, value):
    """A kernel of ours takes rows to columns, theirs columns to rows."""
    return np.ascontiguousarray(value.T) if name.endswith("kernel") else value


def move_at_random(theirs, torch):
    """Norms and biases begin alike; so that each matters, they are moved."""
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
