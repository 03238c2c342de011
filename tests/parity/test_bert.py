"""BERT against transformers' with the same random weights, with padding and two texts a row."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from lmjax.config import model_config
from lmjax.interop.bert import BERT
from lmjax.interop.conventions import to_ours
from lmjax.interop.settings import Settings
from lmjax.models.registry import build_model
from lmjax.nn.softmax import log_probs_and_right

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH, HEADS, CONTEXT, VOCABULARY = 2, 16, 4, 12, 30
LIMIT = 1e-4
LENGTHS = (10, 7)
# Not token 0: theirs takes it for padding, whose vector is not trained.
generator = np.random.default_rng(0)
tokens_BT = generator.integers(1, VOCABULARY, (2, 10)).astype(np.int32)
targets_BT = generator.integers(0, VOCABULARY, (2, 10)).astype(np.int32)
types_BT = (np.arange(10)[None, :] >= np.array([[4], [5]])).astype(np.int32)
exists_BT = np.arange(10)[None, :] < np.array(LENGTHS)[:, None]
follows_B = np.array([0, 1])


def make_theirs(kind):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=CONTEXT,
        initializer_range=0.2,
    )
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def tree_of(theirs, ours, config, read):
    """`read(parameter)` of each of BERT's parameters, in our tree."""
    shapes = nn.meta.unbox(jax.eval_shape(ours.init, jax.random.key(0), tokens_BT))["params"]
    like = flatten_dict(shapes, sep="/")
    named = {name: read(value).detach().numpy() for name, value in theirs.named_parameters()}
    return {"params": unflatten_dict(to_ours(BERT, config, named, like).params, sep="/")}


def make_ours(theirs):
    """Our model by their configuration, and that of ours."""
    settings = {**theirs.config.to_dict(), "architectures": [type(theirs).__name__]}
    config = model_config("bert")
    config.update(BERT.to_model(Settings(settings, "config.json")))
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY)), config


def relative_difference(found, expected):
    """The largest difference in any leaf, divided by the largest number of the leaf."""
    differences = jax.tree.map(
        lambda a, b: np.abs(np.asarray(a) - b).max() / np.abs(b).max(), found, expected
    )
    return max(jax.tree.leaves(differences))


@pytest.mark.parametrize("next_sentence", [False, True], ids=["masked", "pretraining"])
def test_logits_and_gradients(next_sentence, capsys):
    kind = transformers.BertForPreTraining if next_sentence else transformers.BertForMaskedLM
    theirs = make_theirs(kind)
    ours, config = make_ours(theirs)
    params = tree_of(theirs, ours, config, lambda parameter: parameter)
    output = theirs(
        torch.tensor(tokens_BT),
        attention_mask=torch.tensor(exists_BT.astype(np.int64)),
        token_type_ids=torch.tensor(types_BT),
    )
    their_logits = output.prediction_logits if next_sentence else output.logits
    loss = torch.nn.functional.cross_entropy(
        their_logits[torch.tensor(exists_BT)], torch.tensor(targets_BT[exists_BT]).long()
    )
    if next_sentence:
        loss += torch.nn.functional.cross_entropy(
            output.seq_relationship_logits, torch.tensor(follows_B)
        )
    loss.backward()

    def nats(params):
        context = dict(
            segment_ids_BT=jnp.where(exists_BT, 0, -1), token_types_BT=jnp.asarray(types_BT)
        )
        method = "read_pair" if next_sentence else "__call__"
        logits_BTV, other = ours.apply(params, tokens_BT, **context, method=method)
        log_probs_BT, _ = log_probs_and_right(logits_BTV, targets_BT)
        total = -jnp.sum(log_probs_BT * exists_BT) / exists_BT.sum()
        if next_sentence:
            total -= log_probs_and_right(other, follows_B)[0].mean()
        return total, (logits_BTV, other)

    assert config.next_sentence == next_sentence
    gradient, (logits_BTV, next_logits_B2) = jax.grad(nats, has_aux=True)(params)
    found = {
        "logits": relative_difference(
            logits_BTV[exists_BT], their_logits.detach().numpy()[exists_BT]
        ),
        "gradients": relative_difference(
            gradient, tree_of(theirs, ours, config, lambda parameter: parameter.grad)
        ),
    }
    if next_sentence:
        found["next sentence"] = relative_difference(
            next_logits_B2, output.seq_relationship_logits.detach().numpy()
        )
    with capsys.disabled():
        print(f"\nBERT: {found}")
    assert max(found.values()) < LIMIT
