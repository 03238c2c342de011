"""The Transformer against transformers' GPT-2 with the same random weights."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.linen import meta
from flax.traverse_util import flatten_dict, unflatten_dict

from lmjax.config import model_config
from lmjax.interop.conventions import to_ours
from lmjax.interop.gpt2 import GPT2
from lmjax.interop.settings import Settings
from lmjax.models.registry import build_model
from tests.parity.their_search import check_search

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH, HEADS, CONTEXT, VOCABULARY = 3, 32, 4, 24, 50
LIMIT = 1e-4
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, 16))
targets_BT = np.random.default_rng(1).integers(0, VOCABULARY, (2, 16))


@pytest.fixture(scope="module")
def theirs():
    """GPT-2 with dropout off and weights large enough that everything matters."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        initializer_range=0.1,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "ln_" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def config(theirs):
    config = model_config("transformer")
    config.update(GPT2.to_model(Settings(theirs.config.to_dict(), "config.json")))
    return config


@pytest.fixture(scope="module")
def ours(config):
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


@pytest.fixture(scope="module")
def tree_of(theirs, config, ours):
    """`tree_of(read)`: `read(parameter)` of each of GPT-2's parameters, in our tree."""
    shapes = jax.eval_shape(ours.init, jax.random.key(0), tokens_BT)["params"]
    like = flatten_dict(meta.unbox(shapes), sep="/")

    def tree(read):
        named = {name: read(value).detach().numpy() for name, value in theirs.named_parameters()}
        return {"params": unflatten_dict(to_ours(GPT2, config, named, like).params, sep="/")}

    return tree


def largest_difference(found, expected):
    differences = jax.tree.map(lambda a, b: np.abs(np.asarray(a) - b).max(), found, expected)
    return max(jax.tree.leaves(differences))


def test_logits_and_gradients(theirs, ours, tree_of, capsys):
    params = tree_of(lambda parameter: parameter)
    output = theirs(torch.tensor(tokens_BT))
    torch.nn.functional.cross_entropy(
        output.logits.flatten(0, 1), torch.tensor(targets_BT).flatten()
    ).backward()
    logits_BTV, _ = ours.apply(params, tokens_BT)

    def nats(params):
        return -ours.apply(params, tokens_BT, targets_BT, method="log_probs")[0].mean()

    of_logits = largest_difference(logits_BTV, output.logits.detach().numpy())
    expected = tree_of(lambda parameter: parameter.grad)
    of_gradients = largest_difference(jax.grad(nats)(params), expected)
    sizes = [np.abs(leaf).max() for leaf in jax.tree.leaves(expected)]
    with capsys.disabled():
        print(
            f"\nGPT-2, float32: largest difference of logits {of_logits:.1e}, "
            f"of gradients {of_gradients:.1e} (of at most {max(sizes):.1e})"
        )
    assert of_logits <= LIMIT
    assert of_gradients <= LIMIT
    assert min(sizes) > 10 * of_gradients


def test_the_cache_gives_what_gpt2s_gives(theirs, ours, tree_of):
    """A prompt at once, then token by token."""
    params = tree_of(lambda parameter: parameter)
    carry, memory = ours.initial_carry(2, CONTEXT), None
    apply = jax.jit(ours.apply)
    for part in (slice(0, 10), *(slice(time, time + 1) for time in range(10, 14))):
        with torch.no_grad():
            output = theirs(torch.tensor(tokens_BT[:, part]), past_key_values=memory)
        memory = output.past_key_values
        logits_BTV, carry = apply(params, tokens_BT[:, part], carry)
        assert largest_difference(logits_BTV, output.logits.numpy()) <= LIMIT


def test_greedy_and_beam_search_find_what_theirs_find(theirs, ours, tree_of):
    params = tree_of(lambda parameter: parameter)
    check_search(theirs, ours, params, [[0, *row] for row in tokens_BT[:, :9].tolist()])
