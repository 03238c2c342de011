"""The mLSTM of xLSTM 7B against transformers' xLSTM with the same random weights."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from lmjax.config import model_config
from lmjax.models.contract import initial_carry
from lmjax.models.registry import build_model
from tests.parity.llama_names import move_at_random, turned

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH, HEADS, VOCABULARY, LENGTH = 2, 24, 3, 31, 19
LIMIT = 1e-5
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))
LAYER = {
    "norm_mlstm.weight": "mixer_norm/scale",
    "mlstm_layer.multihead_norm.weight": "mixer/norm/scale",
    "mlstm_layer.out_proj.weight": "mixer/output/kernel",
    "norm_ffn.weight": "feed_forward_norm/scale",
    "ffn.proj_up_gate.weight": "feed_forward/gate/kernel",
    "ffn.proj_up.weight": "feed_forward/up/kernel",
    "ffn.proj_down.weight": "feed_forward/down/kernel",
}
WHOLE = {
    "backbone.embeddings.weight": "embedding/embedding",
    "backbone.out_norm.weight": "final_norm/scale",
    "lm_head.weight": "head/kernel",
}


def make_theirs():
    """Without what it adds to denominators, and without bounds of the logits."""
    torch.manual_seed(0)
    config = transformers.xLSTMConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_heads=HEADS,
        chunk_size=8,
        autocast_kernel_dtype="float32",
        eps=0.0,
        gate_soft_cap=3.0,
        output_logit_soft_cap=1e4,
        ffn_proj_factor=2.0,
        ffn_round_up_to_multiple_of=4,
    )
    model = transformers.xLSTMForCausalLM(config).eval()
    move_at_random(model, torch)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.copy_(0.3 * torch.randn_like(parameter))
            if "igate" in name and name.endswith("bias"):
                parameter.add_(9.0)
    return model


def make_ours():
    config = model_config("transformer")
    config.update(layers=LAYERS, width=WIDTH, heads=HEADS, feed_forward_width=48, tied=False)
    config.update(norm="rms_norm", norm_epsilon=1e-6, position="none", feed_forward="swiglu")
    config.update(pattern=("mlstm_large",))
    config.mixers.mlstm_large = dict(gate_cap=3.0, chunk=6)
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def renamed(theirs):
    weights = {name: value.detach().numpy() for name, value in theirs.state_dict().items()}
    found = {ours: turned(ours, weights[name]) for name, ours in WHOLE.items()}
    for layer in range(LAYERS):
        begin = f"backbone.blocks.{layer}."
        own = {name.removeprefix(begin): weights[name] for name in weights if begin in name}
        named = {ours: turned(ours, own[name]) for name, ours in LAYER.items()}
        for ours, parts in dict(
            qkvo="q k v ogate_preact", gates="igate_preact fgate_preact"
        ).items():
            kernels = [own[f"mlstm_layer.{part}.weight"].T for part in parts.split()]
            named[f"mixer/{ours}/kernel"] = np.concatenate(kernels, axis=1)
        biases = [own[f"mlstm_layer.{gate}gate_preact.bias"] for gate in "if"]
        named["mixer/gates/bias"] = np.concatenate(biases)
        found |= {f"blocks_{layer}/{name}": value for name, value in named.items()}
    return {"params": unflatten_dict(found, sep="/")}


def test_logits_at_once_and_token_by_token(capsys):
    theirs, ours = make_theirs(), make_ours()
    with torch.no_grad():
        expected_BTV = theirs(torch.tensor(tokens_BT), use_cache=False).logits.numpy()
    params, apply = renamed(theirs), jax.jit(ours.apply)
    scale = np.abs(expected_BTV).max()
    whole = np.abs(apply(params, tokens_BT)[0] - expected_BTV).max() / scale
    carry, found = initial_carry(ours, params, 2, LENGTH), []
    for part in (slice(0, 14), *(slice(time, time + 1) for time in range(14, LENGTH))):
        logits_BTV, carry = apply(params, tokens_BT[:, part], carry)
        found.append(logits_BTV)
    carried = np.abs(np.concatenate(found, axis=1) - expected_BTV).max() / scale
    with capsys.disabled():
        print(f"\nxLSTM: largest relative difference {whole:.0e}, carried {carried:.0e}")
    assert max(whole, carried) <= LIMIT
    assert scale > 1
