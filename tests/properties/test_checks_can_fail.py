"""Each property check passes on a sound model and fails on one with the fault that it is for."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from lmjax.checks import probes, source_properties
from lmjax.checks import properties as checks
from lmjax.models.conditional import ConditionalModel, or_empty
from lmjax.models.contract import LanguageModel
from lmjax.nn.embeddings import TokenEmbedding

SEGMENTS = probes.draw_segments()
WIDTH = 5


class LeakySum(LanguageModel):
    """Logits from a decaying sum of embeddings; `fault` names one way to get it wrong."""

    fault: str = ""
    embedding: type[nn.Module] = TokenEmbedding

    def initial_carry(self, batch_size, max_length):
        sum_BD = jnp.zeros((batch_size, WIDTH))
        carry = sum_BD, jnp.zeros(batch_size, jnp.int32)
        return (sum_BD.T, carry[1]) if self.fault == "rows do not lead" else carry

    @nn.compact
    def __call__(
        self, tokens_BT, carry=None, *, segment_ids_BT=None, positions_BT=None, deterministic=True
    ):
        x_BTD = self.embedding(self.vocabulary_size, WIDTH)(tokens_BT)
        sum_BD, segment_B = carry or LeakySum.initial_carry(
            LeakySum(self.vocabulary_size), len(tokens_BT), 0
        )
        if sum_BD.shape[0] != len(tokens_BT):
            sum_BD = sum_BD.T
        if segment_ids_BT is None or self.fault == "ignores segments":
            segment_ids_BT = jnp.broadcast_to(segment_B[:, None], tokens_BT.shape)

        def step(state, following):
            sum_BD, before_B = state
            x_BD, segment_B = following
            kept_BD = jnp.where((segment_B == before_B)[:, None], sum_BD, 0.0)
            sum_BD = 0.5 * kept_BD + x_BD
            return (sum_BD, segment_B), sum_BD

        following = x_BTD.swapaxes(0, 1), jnp.asarray(segment_ids_BT).T
        last, sums_TBD = jax.lax.scan(step, (sum_BD, segment_B), following)
        y_BTD = sums_TBD.swapaxes(0, 1)
        if self.fault == "peeks":
            y_BTD += jnp.roll(x_BTD, -1, axis=1)
        if self.fault == "mixes rows":
            y_BTD += y_BTD.mean(axis=0, keepdims=True)
        logits_BTV = nn.Dense(self.vocabulary_size, use_bias=False)(jnp.tanh(y_BTD))
        if self.fault == "forgets":
            last = LeakySum.initial_carry(self, len(tokens_BT), 0)
        if self.fault == "rows do not lead":
            last = last[0].T, last[1]
        return logits_BTV, None if carry is None and self.fault != "remembers" else last

    def log_probs(self, tokens_BT, targets_BT, carry=None, **context):
        log_probs_BT, carry = super().log_probs(tokens_BT, targets_BT, carry, **context)
        return log_probs_BT - (0.1 if self.fault == "sums to less" else 0.0), carry


FAULTS = {
    "forgets": [checks.same_in_chunks],
    "peeks": [checks.no_token_sees_a_later_one, checks.no_gradient_from_a_later_token],
    "mixes rows": [checks.neighbours_do_not_matter],
    "ignores segments": [checks.segments_are_read_apart],
    "sums to less": [checks.probabilities_sum_to_one],
    "rows do not lead": [checks.rows_lead_every_carry],
    "remembers": [checks.same_without_carry],
}


def small(fault="", embedding=TokenEmbedding):
    model = LeakySum(vocabulary_size=7, fault=fault, embedding=embedding)
    return model, probes.distinct_parameters(model)


@pytest.mark.parametrize("check", [check for found in FAULTS.values() for check in found])
def test_the_sound_model_passes(check):
    check(*small())


@pytest.mark.parametrize("segments", [None, SEGMENTS], ids=["whole", "segments"])
def test_the_sound_model_passes_with_segments(segments):
    checks.same_in_chunks(*small(), segments)
    checks.same_without_carry(*small(), segments)
    checks.neighbours_do_not_matter(*small(), segments)


@pytest.mark.parametrize(
    ("fault", "check"), [(fault, check) for fault, found in FAULTS.items() for check in found]
)
def test_a_faulty_model_fails(fault, check):
    with pytest.raises(AssertionError):
        check(*small(fault))


@pytest.mark.parametrize("embedding", [TokenEmbedding, nn.Embed])
def test_a_gradient_is_followed_through_either_embedding(embedding):
    checks.no_gradient_from_a_later_token(*small("", embedding))
    with pytest.raises(AssertionError, match="token 1 have a gradient by the embedding of token 2"):
        checks.no_gradient_from_a_later_token(*small("peeks", embedding))


class OneHot(nn.Module):
    vocabulary_size: int
    width: int

    @nn.compact
    def __call__(self, tokens_BT):
        return nn.Dense(self.width)(jax.nn.one_hot(tokens_BT, self.vocabulary_size))


def test_no_embedding_is_said_and_the_other_check_of_causality_is_left():
    with pytest.raises(checks.NoEmbedding):
        checks.no_gradient_from_a_later_token(*small("peeks", OneHot))
    with pytest.raises(AssertionError, match="logits change with tokens that come later"):
        checks.no_token_sees_a_later_one(*small("peeks", OneHot))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_violation_is_a_sentence(fault):
    model, params = small(fault)
    properties = checks.PROPERTIES["past"]
    wrong = {name for name in properties if checks.violation(name, model, params)}
    found = {name for name, check in properties.items() if check in FAULTS[fault]}
    assert found <= wrong
    assert not [name for name in properties if checks.violation(name, *small())]


def test_an_error_of_the_model_is_a_violation():
    model = LeakySum(vocabulary_size=7)
    name = next(iter(checks.PROPERTIES["past"]))
    assert "ScopeCollectionNotFound: " in checks.violation(name, model, {"params": {}})


class SummedSource(ConditionalModel):
    """Logits from a token and the sum of its source; `fault` names one way to get it wrong."""

    fault: str = ""

    def setup(self):
        self.source_embedding = TokenEmbedding(self.source_vocabulary_size, WIDTH)
        self.embedding = TokenEmbedding(self.vocabulary_size, WIDTH)
        self.output = nn.Dense(self.vocabulary_size, use_bias=False)

    def initial_carry(self, batch_size, max_length, *, source_BS=None, source_weights_BS=None):
        source_BS, weights_BS = or_empty(batch_size, source_BS, source_weights_BS)
        if self.fault == "reads padding":
            weights_BS = jnp.ones_like(weights_BS)
        sum_BE = (self.source_embedding(source_BS) * weights_BS[..., None]).sum(axis=1)
        if self.fault == "divides by nothing":
            sum_BE /= weights_BS.sum(axis=1, keepdims=True)
        if self.fault == "reads another row's":
            sum_BE = jnp.broadcast_to(sum_BE[:1], sum_BE.shape)
        return {"sum_BE": 0.0 * sum_BE if self.fault == "ignores it" else sum_BE}

    def __call__(
        self, tokens_BT, carry=None, *, source_BS=None, source_weights_BS=None, deterministic=True
    ):
        source = {"source_BS": source_BS, "source_weights_BS": source_weights_BS}
        read = self.initial_carry(len(tokens_BT), 0, **source) if carry is None else carry
        if self.fault == "forgets its source":
            carry = carry and {"sum_BE": jnp.zeros_like(read["sum_BE"])}
        return self.output(jnp.tanh(self.embedding(tokens_BT) + read["sum_BE"][:, None])), carry


SOURCE_FAULTS = {
    "reads padding": source_properties.padding_changes_nothing,
    "divides by nothing": source_properties.no_source_is_all_padding,
    "reads another row's": source_properties.rows_keep_their_source,
    "ignores it": source_properties.every_source_token_counts,
    "forgets its source": checks.same_in_chunks,
}


@pytest.mark.parametrize("fault", SOURCE_FAULTS)
def test_a_fault_in_reading_the_source_is_found(fault):
    def violated(fault):
        model = SummedSource(vocabulary_size=7, source_vocabulary_size=8, fault=fault)
        params = probes.distinct_parameters(model)
        return [
            check
            for name, check in checks.PROPERTIES["source"].items()
            if checks.violation(name, model, params)
        ]

    assert not violated("")
    assert SOURCE_FAULTS[fault] in violated(fault)
