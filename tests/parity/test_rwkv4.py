"""RWKV-4 against transformers' RWKV with the same random weights."""

from types import SimpleNamespace

import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from lmjax.config import model_config
from lmjax.models.registry import build_model
from tests.parity.whole_logits import check_logits

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, LAYERS, WIDTH = 30, 2, 10
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, 23))
MIXED = {"time_mix_key": "mix_key", "time_mix_receptance": "mix_receptance"}
DENSE = {f"{name}.weight": f"{name}/kernel" for name in ("key", "value", "receptance")}
TIME = MIXED | DENSE | {"time_mix_value": "mix_value", "output.weight": "output/kernel"}
TIME |= {"time_decay": "log_decay", "time_first": "bonus"}
CHANNELS = DENSE | MIXED | {"time_mix_key": "mix"}


def to_ours(theirs):
    """Their mixes are shares of the token, ours of the one before; their layers are two of ours."""
    weights = {name: leaf.detach().numpy() for name, leaf in theirs.named_parameters()}
    found = {
        "embedding/embedding": weights["rwkv.embeddings.weight"],
        "head/kernel": weights["head.weight"].T,
    }
    norms = {"first_norm": "blocks.0.pre_ln", "final_norm": "ln_out"}
    for layer in range(LAYERS):
        begin = f"blocks.{layer}"
        for block, norm, part, names in (
            (f"blocks_{2 * layer}", "ln1", "attention", TIME),
            (f"blocks_{2 * layer + 1}", "ln2", "feed_forward", CHANNELS),
        ):
            norms[f"{block}/mixer_norm"] = f"{begin}.{norm}"
            for name, ours in names.items():
                leaf = weights[f"rwkv.{begin}.{part}.{name}"].squeeze()
                leaf = 1 - leaf if "mix" in name else leaf
                found[f"{block}/mixer/{ours}"] = leaf.T
    for ours, name in norms.items():
        found[f"{ours}/scale"] = weights[f"rwkv.{name}.weight"]
        found[f"{ours}/bias"] = weights[f"rwkv.{name}.bias"]
    return {"params": unflatten_dict(found, sep="/")}


def test_logits_are_those_of_transformers(capsys):
    torch.manual_seed(0)
    config = transformers.RwkvConfig(
        vocab_size=VOCABULARY,
        num_hidden_layers=LAYERS,
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        rescale_every=0,
    )
    theirs = transformers.RwkvForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    config = model_config("transformer")
    config.update(layers=2 * LAYERS, width=WIDTH, heads=1, feed_forward="none", bias=True)
    config.update(position="none", tied=False, embedding_norm=True)
    config.update(pattern=("rwkv4", "rwkv_channel_mixing"))
    config.mixers = {"rwkv_channel_mixing": dict(receptance=True, expansion=3)}
    ours = build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))
    with capsys.disabled():
        check_logits("\nRWKV-4", theirs, ours, to_ours(theirs), tokens_BT)
