import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.sts_benchmark import sts_benchmark
from lmjax.data.word_tests import RatedPair
from lmjax.data.wrapped_tokenizers import SpecialTokenizer
from lmjax.errors import UserError
from lmjax.evaluation.sentence_similarity import sentence_similarity, sentence_vectors
from lmjax.models.contract import LanguageModel

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
    found = sentence_vectors(MODEL, params, TOKENIZER, SENTENCES, batch_size)
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


@pytest.mark.parametrize(
    ("model", "tokenizer", "told"),
    [
        (Blind(TOKENIZER.vocabulary_size), TOKENIZER, "shows no vectors"),
        (MODEL, ByteTokenizer(False), "no tokens `class` and `separator`"),
        (MeanModel(258, limit=4), TOKENIZER, "has 7 tokens, and the model's context 4"),
    ],
)
def test_what_has_no_vectors_is_refused(params, model, tokenizer, told):
    with pytest.raises(UserError, match=told):
        sentence_vectors(model, params, tokenizer, ["a cat"])


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
