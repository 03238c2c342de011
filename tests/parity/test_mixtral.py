"""A small Mixtral with the same random weights as transformers' one: logits, losses, gradients."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from lmjax.config import model_config
from lmjax.models.registry import build_model
from lmjax.nn.extras import Collecting
from tests.parity.llama_names import LAYER, WHOLE, move_at_random, turned

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, LAYERS, EXPERTS, CHOSEN, INNER, COEFFICIENT = 31, 2, 5, 2, 10, 0.3
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (3, 13))
NORMS = {name: ours for name, ours in LAYER.items() if "norm" in name}


def renamed(read):
    """Our parameters out of `read`, of their names."""
    found = {ours: turned(ours, read(name)) for name, ours in WHOLE.items()}
    for layer in range(LAYERS):
        ours, theirs = f"blocks_{layer}", f"model.layers.{layer}"
        found |= {f"{ours}/{name}": read(f"{theirs}.{their}") for their, name in NORMS.items()}
        qkv = np.concatenate([read(f"{theirs}.self_attn.{name}_proj.weight") for name in "qkv"])
        gate_XFD, up_XFD = np.split(read(f"{theirs}.mlp.experts.gate_up_proj"), 2, axis=1)
        found |= {
            f"{ours}/mixer/qkv/kernel": qkv.T,
            f"{ours}/mixer/output/kernel": read(f"{theirs}.self_attn.o_proj.weight").T,
            f"{ours}/feed_forward/router/kernel": read(f"{theirs}.mlp.gate.weight").T,
            f"{ours}/feed_forward/experts/gate/kernel": gate_XFD.swapaxes(1, 2),
            f"{ours}/feed_forward/experts/up/kernel": up_XFD.swapaxes(1, 2),
            f"{ours}/feed_forward/experts/down/kernel": read(
                f"{theirs}.mlp.experts.down_proj"
            ).swapaxes(1, 2),
        }
    return {"params": unflatten_dict(found, sep="/")}


def test_logits_loss_and_gradients_are_those_of_transformers(capsys):
    """The loss is that of each layer, summed; they take all layers' tokens as one layer's."""
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    torch.manual_seed(0)
    theirs = transformers.MixtralForCausalLM(
        transformers.MixtralConfig(
            vocab_size=VOCABULARY,
            hidden_size=12,
            intermediate_size=INNER,
            num_hidden_layers=LAYERS,
            num_attention_heads=6,
            num_key_value_heads=2,
            num_local_experts=EXPERTS,
            num_experts_per_tok=CHOSEN,
            max_position_embeddings=32,
            initializer_range=0.3,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4},
            attn_implementation="eager",
            experts_implementation="eager",
        )
    )
    move_at_random(theirs, torch)
    config = model_config("transformer")
    config.update(
        layers=LAYERS,
        width=12,
        heads=6,
        feed_forward_width=INNER,
        context_length=32,
        norm="rms_norm",
        norm_epsilon=1e-5,
        position="rotary",
        feed_forward="mixture_of_experts",
        tied=False,
    )
    options = dict(experts=EXPERTS, experts_per_token=CHOSEN, balance=COEFFICIENT)
    config.feed_forward_options = {"mixture_of_experts": options}
    config.mixers = {"attention": {"key_value_heads": 2}}
    ours = build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))
    named = dict(theirs.named_parameters())

    found = theirs(torch.tensor(tokens_BT), output_router_logits=True)
    balances = [
        load_balancing_loss_func((logits_NX,), EXPERTS, CHOSEN) for logits_NX in found.router_logits
    ]
    weights_BTV = np.random.default_rng(1).normal(size=found.logits.shape).astype(np.float32)
    loss = COEFFICIENT * sum(balances) + (found.logits * torch.tensor(weights_BTV)).sum()
    loss.backward()
    expected = (
        found.logits.detach().numpy(),
        COEFFICIENT * float(sum(balances).detach()),
        renamed(lambda name: named[name].grad.numpy()),
    )

    @jax.jit
    @jax.grad
    def gradient_of(params):
        return read(params)[0]

    def read(params):
        model = Collecting(ours)
        logits_BTV, _ = model.apply(params, tokens_BT.astype(np.int32), deterministic=False)
        balance = model.losses["load_balancing"]
        return (logits_BTV * weights_BTV).sum() + balance, (logits_BTV, balance)

    params = renamed(lambda name: named[name].detach().numpy())
    found = *jax.jit(read)(params)[1], gradient_of(params)

    def difference(a, b):
        return np.abs(np.asarray(a) - b).max() / np.abs(b).max()

    worst = max(jax.tree.leaves(jax.tree.map(difference, found, expected)))
    with capsys.disabled():
        print(f"\nMixtral: largest relative difference {worst:.1e}")
    assert worst <= 1e-4
