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


def to_ours(theirs, layers, mixer):
    """Parameters of a Transformer; `mixer` makes a layer's, by name, of its weights by theirs."""
    weights = {name: value.detach().numpy() for name, value in theirs.state_dict().items()}
    found = {ours: turned(ours, weights[name]) for name, ours in WHOLE.items()}
    for layer in range(layers):
        begin = f"model.layers.{layer}."
        own = {name.removeprefix(begin): weights[name] for name in weights if begin in name}
        named = {ours: turned(ours, own[name]) for name, ours in LAYER.items()}
        named |= {f"mixer/{name}": value for name, value in mixer(own).items()}
        found |= {f"blocks_{layer}/{name}": value for name, value in named.items()}
    return {"params": unflatten_dict(found, sep="/")}


def turned(name, value):
    """A kernel of ours takes rows to columns, theirs columns to rows."""
    return np.ascontiguousarray(value.T) if name.endswith("kernel") else value


def move_at_random(theirs, torch):
    """Norms and biases begin alike; so that each matters, they are moved."""
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
