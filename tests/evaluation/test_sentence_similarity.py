import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from lmjax.config import model_config
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.sts_benchmark import sts_benchmark
from lmjax.data.word_tests import RatedPair
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, SpecialTokenizer
from lmjax.errors import UserError
from lmjax.evaluation.sentence_similarity import sentence_similarity
from lmjax.evaluation.text_vectors import cosines, text_vectors
from lmjax.models.contract import LanguageModel
from lmjax.models.registry import build_model

TOKENIZER = SpecialTokenizer(ByteTokenizer(False), ("class", "separator"))
SENTENCES = ["a cat", "b", "a long sentence of many bytes", "", "a cat sat"]


class MeanModel(LanguageModel):
    """A token's hidden vector is that of the token, plus the mean over its segment."""

    reads = "both"
    limit: int | None = None

    @property
    def longest_context(self):
        return self.limit

    @nn.compact
    def hidden_BTD(self, tokens_BT, segment_ids_BT):
        table_VD = self.param("table", nn.initializers.normal(1.0), (self.vocabulary_size, 4))
        own_BTD = table_VD[tokens_BT]
        same_BTT = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
        mean_BTT = same_BTT / same_BTT.sum(-1, keepdims=True)
        return own_BTD + mean_BTT @ own_BTD


class Blind(LanguageModel):
    """A model without hidden vectors to give."""


MODEL = MeanModel(TOKENIZER.vocabulary_size)


@pytest.fixture(scope="module")
def params():
    zeros_BT = jnp.zeros((1, 1), jnp.int32)
    return MODEL.init(jax.random.key(0), zeros_BT, zeros_BT, method="hidden_BTD")


def by_hand(params, sentence):
    ids = [TOKENIZER.special_id("class"), *sentence.encode(), TOKENIZER.special_id("separator")]
    return 2 * np.asarray(params["params"]["table"])[ids].mean(axis=0)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_vectors_are_those_of_each_sentence_alone(params, batch_size):
    found = text_vectors(MODEL, params, TOKENIZER, SENTENCES, batch_size)
    expected = np.stack([by_hand(params, sentence) for sentence in SENTENCES])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_correlation_is_that_of_cosines(params):
    ratings = [5.0, 0.0, 2.0, 3.0]
    pairs = [RatedPair(a, SENTENCES[0], r) for a, r in zip(SENTENCES[1:], ratings, strict=True)]

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    own = by_hand(params, SENTENCES[0])
    cosines = [cosine(by_hand(params, pair.first), own) for pair in pairs]
    found = sentence_similarity(MODEL, params, TOKENIZER, pairs)
    assert found == pytest.approx(spearmanr(cosines, ratings).statistic)


def test_a_model_or_a_text_without_vectors_is_refused(params):
    with pytest.raises(UserError, match="shows no vectors"):
        text_vectors(Blind(TOKENIZER.vocabulary_size), params, TOKENIZER, ["a cat"])
    with pytest.raises(UserError, match="text 2 has no tokens"):
        text_vectors(MODEL, params, ByteTokenizer(False), ["a cat", ""])
    with pytest.raises(UserError, match="there is no text"):
        text_vectors(MODEL, params, TOKENIZER, [])


def test_a_text_longer_than_the_context_is_read_in_parts_by_their_tokens(params):
    short = MeanModel(TOKENIZER.vocabulary_size, limit=7)
    text = "a long text."
    parts = ["a lon", "g tex", "t."]
    sizes = [len(part) + 2 for part in parts]  # with what stands around it
    vectors = [by_hand(params, part) for part in parts]
    expected = np.average(vectors, axis=0, weights=sizes)
    found = text_vectors(short, params, TOKENIZER, [text, "b"], batch_size=2)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], by_hand(params, "b"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["rnn", "transformer", "bilstm"])
def test_a_model_that_reads_in_order_gives_the_mean_of_its_states(name):
    tokenizer = ByteTokenizer(True)
    config = model_config(name)
    config.update(width=8, layers=1, **({"heads": 2} if name == "transformer" else {}))
    model = build_model(config, tokenizer)
    params = nn.meta.unbox(model.init(jax.random.key(0), jnp.zeros((1, 4), jnp.int32)))
    found = text_vectors(model, params, tokenizer, ["a cat", "ab", "a cat"], batch_size=2)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-6)
    for text, vector_D in zip(["a cat", "ab"], found, strict=False):
        ids = [*text.encode()] if name == "bilstm" else [tokenizer.start_id, *text.encode()]
        given = (params, jnp.asarray([ids]))
        segments_BT = jnp.zeros((1, len(ids)), jnp.int32)
        hidden_BTD = model.apply(*given, segment_ids_BT=segments_BT, method="hidden_BTD")
        expected = hidden_BTD[0, -len(text) :].mean(axis=0)
        np.testing.assert_allclose(vector_D, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("siamese", ["none", "concatenated"])
def test_of_a_head_it_is_what_it_pools_of_the_source(siamese):
    tokenizer = PairTokenizer(WordTokenizer(("yes", "no"), False), TOKENIZER)
    config = model_config("classifier")
    config.backbone.update(width=8, heads=2, layers=1, context_length=10)
    config.update(pooling="mean", siamese=siamese)
    model = build_model(config, tokenizer)
    params = nn.meta.unbox(model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32)))
    longest = model.longest_context
    texts = ["a cat", "b", "more than it reads"]
    found = text_vectors(model, params, tokenizer, texts, batch_size=2)

    def pooled(ids):
        given = jnp.asarray([ids]), jnp.ones((1, len(ids)))
        return np.asarray(model.apply(params, *given, method="pooled")[0][0])

    parts = [TOKENIZER.encode_source(text).tolist() for text in texts]
    np.testing.assert_allclose(found[:2], [pooled(ids) for ids in parts[:2]], rtol=1e-4, atol=1e-5)
    long = [parts[2][i : i + longest] for i in range(0, len(parts[2]), longest)]
    assert len(long) > 1
    expected = np.average([pooled(ids) for ids in long], axis=0, weights=[len(ids) for ids in long])
    np.testing.assert_allclose(found[2], expected, rtol=1e-4, atol=1e-5)


def test_cosines_are_those_of_each_with_each():
    a_AD, b_BD = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    a_AD[1] = 0
    found = cosines(a_AD, b_BD)
    expected = a_AD[0] @ b_BD[2] / np.linalg.norm(a_AD[0]) / np.linalg.norm(b_BD[2])
    assert found.shape == (3, 3) and found[0, 2] == pytest.approx(expected, rel=1e-5)
    assert (found[1] == 0).all() and np.abs(found).max() <= 1


def test_two_pairs_have_no_correlation(params):
    with pytest.raises(UserError, match="2 pairs"):
        sentence_similarity(MODEL, params, TOKENIZER, [RatedPair("a", "b", 1.0)] * 2)


def test_the_benchmark_is_the_published_one(data_dir):
    test = sts_benchmark("test")
    assert len(test) == 1379 and np.mean([pair.rating for pair in test]) == pytest.approx(
        2.608, abs=1e-3
    )
    assert test[0] == RatedPair("A girl is styling her hair.", "A girl is brushing her hair.", 2.5)
    assert [len(sts_benchmark(split)) for split in ("train", "validation")] == [5749, 1500]
    with pytest.raises(UserError, match="known: test, train, validation"):
        sts_benchmark("dev")
