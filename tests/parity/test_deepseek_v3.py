"""Multi-head latent attention against transformers' DeepSeek-V3 with the same random weights."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.config import model_config
from lmjax.models.contract import initial_carry
from lmjax.models.registry import build_model
from tests.parity.llama_names import move_at_random, to_ours, turned

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH, HEADS, INNER, VOCABULARY, LENGTH = 2, 24, 3, 20, 31, 11
HEAD, ROTARY, VALUE, LATENT, QUERY_RANK = 5, 4, 7, 9, 10
LIMIT = 1e-5
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))


def make_theirs(query_rank):
    """A dense one, whose feed-forward network has an activation that ours has, too."""
    torch.manual_seed(0)
    config = transformers.DeepseekV3Config(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        first_k_dense_replace=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        kv_lora_rank=LATENT,
        q_lora_rank=query_rank or None,
        qk_nope_head_dim=HEAD,
        qk_rope_head_dim=ROTARY,
        v_head_dim=VALUE,
        hidden_act="gelu_pytorch_tanh",
        rms_norm_eps=1e-5,
        attention_bias=True,
        initializer_range=0.3,
        num_mtp_layers=0,
        attn_implementation="eager",
    )
    model = transformers.DeepseekV3ForCausalLM(config).eval()
    move_at_random(model, torch)
    return model


def make_ours(query_rank):
    config = model_config("transformer")
    config.update(layers=LAYERS, width=WIDTH, heads=HEADS, feed_forward_width=INNER, tied=False)
    config.update(norm="rms_norm", position="none", feed_forward="gated_gelu")
    config.update(pattern=("multi_head_latent_attention",), context_length=LENGTH)
    config.mixers.multi_head_latent_attention = dict(
        head_width=HEAD,
        rotary_width=ROTARY,
        value_width=VALUE,
        latent_width=LATENT,
        query_rank=query_rank,
        bias=True,
    )
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def pairs_apart(rotary):
    """Of numbers that are turned with their neighbours, first each pair's first one."""
    return np.concatenate([rotary[..., 0::2], rotary[..., 1::2]], axis=-1)


def mixer(weights):
    kernels = {
        name.removeprefix("self_attn.").removesuffix(".weight"): turned("kernel", weights[name])
        for name in weights
        if name.startswith("self_attn.") and name.endswith("proj.weight") or "with_mqa.w" in name
    }
    query = kernels["q_b_proj" if "q_b_proj" in kernels else "q_proj"]
    query = query.reshape(len(query), HEADS, HEAD + ROTARY)
    query = np.concatenate([query[..., :HEAD], pairs_apart(query[..., HEAD:])], axis=-1)
    up = kernels["kv_b_proj"].reshape(LATENT, HEADS, HEAD + VALUE)
    down, down_bias = kernels["kv_a_proj_with_mqa"], weights["self_attn.kv_a_proj_with_mqa.bias"]
    found = {
        "query/kernel": query.reshape(len(query), -1),
        "key_kernel": up[..., :HEAD].reshape(LATENT, -1),
        "value_kernel": up[..., HEAD:].reshape(LATENT, -1),
        "latent_norm/scale": weights["self_attn.kv_a_layernorm.weight"],
        "output/kernel": kernels["o_proj"],
        "output/bias": weights["self_attn.o_proj.bias"],
    }
    for name, value in (("kernel", down), ("bias", down_bias)):
        both = [value[..., :LATENT], pairs_apart(value[..., LATENT:])]
        found[f"compression/{name}"] = np.concatenate(both, axis=-1)
    if "q_a_proj" in kernels:
        found["query_compression/kernel"] = kernels["q_a_proj"]
        found["query_compression/bias"] = weights["self_attn.q_a_proj.bias"]
        found["query_norm/scale"] = weights["self_attn.q_a_layernorm.weight"]
    return found


@pytest.mark.parametrize("query_rank", [0, QUERY_RANK], ids=["queries", "compressed_queries"])
def test_logits_and_those_of_the_cache(query_rank, capsys):
    """The whole row at once, in parallel; then a part, and token by token by absorbed products."""
    theirs, ours = make_theirs(query_rank), make_ours(query_rank)
    params = to_ours(theirs, LAYERS, mixer)
    shapes = nn.meta.unbox(jax.eval_shape(ours.init, jax.random.key(0), tokens_BT))
    jax.tree.map(lambda leaf, like: np.testing.assert_equal(leaf.shape, like.shape), params, shapes)
    with torch.no_grad():
        expected_BTV = theirs(torch.tensor(tokens_BT)).logits.numpy()
    apply, scale = jax.jit(ours.apply), np.abs(expected_BTV).max()
    found_BTV, _ = apply(params, tokens_BT)
    whole = np.abs(found_BTV - expected_BTV).max() / scale
    carry, found = initial_carry(ours, params, 2, LENGTH), []
    for part in (slice(0, 4), *(slice(time, time + 1) for time in range(4, LENGTH))):
        logits_BTV, carry = apply(params, tokens_BT[:, part], carry)
        found.append(logits_BTV)
    cached = np.abs(np.concatenate(found, axis=1) - expected_BTV).max() / scale
    with capsys.disabled():
        print(f"\nDeepSeek-V3: largest relative difference {whole:.0e}, by the cache {cached:.0e}")
    assert max(whole, cached) <= LIMIT
    assert scale > 1
