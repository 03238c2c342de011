"""The encoder-decoder Transformer against transformers' T5 and Marian with the same weights."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.linen import meta
from flax.traverse_util import flatten_dict, unflatten_dict

from lmjax.api import load
from lmjax.config import model_config
from lmjax.interop.conventions import to_ours, to_theirs
from lmjax.interop.importing import import_folder
from lmjax.interop.registry import CONVENTIONS
from lmjax.interop.settings import Settings
from lmjax.models.registry import build_model
from lmjax.nn.position_bias import bucket_of
from tests.parity.their_search import check_search

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, ROWS, LENGTH, SOURCE_LENGTH = 30, 3, 14, 17
LIMIT = 1e-4  # relative to the largest number of the same array
T5 = dict(
    vocab_size=VOCABULARY,
    d_model=12,
    d_kv=5,  # not width / heads
    d_ff=20,
    num_layers=2,
    num_decoder_layers=3,
    num_heads=3,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=12,
)
MARIAN = dict(
    vocab_size=VOCABULARY,
    d_model=12,
    encoder_layers=2,
    decoder_layers=3,
    encoder_attention_heads=3,
    decoder_attention_heads=3,
    encoder_ffn_dim=20,
    decoder_ffn_dim=20,
    max_position_embeddings=24,
    init_std=0.3,
    pad_token_id=VOCABULARY - 1,
    decoder_start_token_id=VOCABULARY - 1,
)
CASES = {
    "t5": T5,
    "t5-v1.1": T5 | dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "marian": MARIAN | dict(activation_function="swish", scale_embedding=True),
    "marian-apart": MARIAN | dict(share_encoder_decoder_embeddings=False),
}
generator = np.random.default_rng(0)
tokens_BT, targets_BT = generator.integers(0, VOCABULARY - 1, (2, ROWS, LENGTH), np.int32)
source_BS = generator.integers(0, VOCABULARY - 1, (ROWS, SOURCE_LENGTH), np.int32)
weights_BT, source_weights_BS = (
    np.float32(np.arange(length) < np.array([[length], [5], [length - 4]]))
    for length in (LENGTH, SOURCE_LENGTH)
)
SOURCE = dict(source_BS=source_BS, source_weights_BS=source_weights_BS)


@pytest.fixture(scope="module", params=CASES)
def theirs(request):
    """A model of theirs without dropout, whose parameters are all far from where they begin."""
    torch.manual_seed(0)
    kind = request.param.partition("-")[0]
    if kind == "t5":
        model = transformers.T5ForConditionalGeneration(
            transformers.T5Config(decoder_start_token_id=2, **CASES[request.param])
        )
        if "tie_word_embeddings" in CASES[request.param]:
            model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, T5["d_model"]))
    else:
        config = transformers.MarianConfig(**CASES[request.param])
        model = transformers.MarianMTModel(config)
        model.final_logits_bias.copy_(torch.randn(1, VOCABULARY)).requires_grad_()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def convention(theirs):
    return CONVENTIONS[theirs.config.model_type]


@pytest.fixture(scope="module")
def config(theirs, convention):
    settings = Settings(theirs.config.to_dict(), "config.json")
    config = model_config(convention.family)
    config.update(convention.to_model(settings))
    return config


@pytest.fixture(scope="module")
def ours(config):
    tokenizer = SimpleNamespace(vocabulary_size=VOCABULARY)
    tokenizer.source = tokenizer
    return build_model(config, tokenizer)


@pytest.fixture(scope="module")
def tree_of(theirs, config, convention, ours):
    """`tree_of(read)`: `read(tensor)` of each of their parameters, in our tree."""
    shapes = jax.eval_shape(ours.init, jax.random.key(0), tokens_BT)["params"]
    like = flatten_dict(meta.unbox(shapes), sep="/")

    def tree(read):
        tensors = dict(theirs.named_parameters())
        if "final_logits_bias" in theirs.state_dict():
            tensors["final_logits_bias"] = theirs.final_logits_bias
        named = {
            name: read(tensor).detach().numpy()
            for name, tensor in tensors.items()
            if "embed_positions" not in name
        }
        return {"params": unflatten_dict(to_ours(convention, config, named, like).params, sep="/")}

    return tree


def their_logits(theirs):
    return theirs(
        input_ids=torch.tensor(source_BS, dtype=torch.long),
        attention_mask=torch.tensor(source_weights_BS),
        decoder_input_ids=torch.tensor(tokens_BT, dtype=torch.long),
    ).logits


def largest_difference(found, expected):
    """Of each array, relative to the largest number of what is expected of it."""

    def relative(a, b):
        return np.abs(np.asarray(a) - b).max() / np.abs(b).max()

    return max(jax.tree.leaves(jax.tree.map(relative, found, expected)))


def test_logits_and_gradients(theirs, ours, tree_of, capsys):
    """With padding on both sides; nats are those of the targets that are no padding."""
    logits = their_logits(theirs)
    chosen = logits.log_softmax(-1).gather(
        -1, torch.tensor(targets_BT, dtype=torch.long)[..., None]
    )
    (-(chosen[..., 0] * torch.tensor(weights_BT)).sum()).backward()

    @jax.jit
    def outcome(params):
        def nats(params):
            log_probs_BT, _ = ours.apply(
                params, tokens_BT, targets_BT, method="log_probs", **SOURCE
            )
            return -(log_probs_BT * weights_BT).sum()

        return ours.apply(params, tokens_BT, **SOURCE)[0], jax.grad(nats)(params)

    logits_BTV, gradients = outcome(tree_of(lambda tensor: tensor))
    of_logits = largest_difference(logits_BTV, logits.detach().numpy())
    expected = tree_of(lambda tensor: tensor.grad)
    of_gradients = largest_difference(gradients, expected)
    with capsys.disabled():
        print(
            f"\n{theirs.config.model_type}, float32: largest difference, relative to the largest "
            f"number of an array, of logits {of_logits:.1e}, of gradients {of_gradients:.1e}"
        )
    assert of_logits <= LIMIT
    assert of_gradients <= LIMIT


def test_greedy_and_beam_search_find_what_theirs_find(theirs, ours, tree_of):
    params = tree_of(lambda tensor: tensor)
    check_search(theirs, ours, params, [[VOCABULARY - 1]] * ROWS, SOURCE)


def test_tensors_and_settings_come_back_as_they_were(theirs, convention, config, tree_of):
    params = flatten_dict(tree_of(lambda tensor: tensor)["params"], sep="/")
    back = to_theirs(convention, config, {name: np.asarray(leaf) for name, leaf in params.items()})
    state = theirs.state_dict()
    for name, tensor in back.items():
        np.testing.assert_array_equal(tensor, state[name].numpy(), err_msg=name)
    settings = Settings(convention.to_settings(config, VOCABULARY), "config.json")
    again = convention.to_model(settings)
    assert again.items() <= config.to_dict().items()


def test_an_imported_folder_that_is_exported_is_theirs_again(theirs, tmp_path):
    """With ids of tokens that are those of its tokenizer."""
    theirs.save_pretrained(tmp_path / "theirs")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "theirs" / "vocab.txt").write_text("\n".join(words[:VOCABULARY]) + "\n")
    import_folder(tmp_path / "theirs", tmp_path / "run")
    load(tmp_path / "run").export(tmp_path / "ours")
    again = type(theirs).from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        assert torch.equal(their_logits(again), their_logits(theirs))
    assert again.config.pad_token_id == words.index("[PAD]")
    assert again.config.eos_token_id == words.index("[SEP]")
    assert again.config.decoder_start_token_id == theirs.config.decoder_start_token_id


@pytest.mark.parametrize("both_sides", [False, True])
def test_buckets_of_distances_are_theirs(both_sides):
    """At t5's own numbers, where borders are decided by rounding."""
    from transformers.models.t5.modeling_t5 import T5Attention

    distance_N = np.arange(-150, 151)
    expected_N = T5Attention._relative_position_bucket(
        torch.tensor(distance_N), bidirectional=both_sides, num_buckets=32, max_distance=128
    )
    np.testing.assert_array_equal(bucket_of(distance_N, 32, 128, both_sides), expected_N.numpy())
