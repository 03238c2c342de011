"""Each property check passes on a sound model and fails on one with the fault that it is for."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

from lmjax.models.contract import LanguageModel
from lmjax.nn.embeddings import TokenEmbedding
from tests.properties import checks

SEGMENTS = checks.draw_segments()
WIDTH = 5


class LeakySum(LanguageModel):
    """Logits from a decaying sum of embeddings; `fault` names one way to get it wrong."""

    fault: str = ""

    def initial_carry(self, batch_size, max_length):
        sum_BD = jnp.zeros((batch_size, WIDTH))
        carry = sum_BD, jnp.zeros(batch_size, jnp.int32)
        return (sum_BD.T, carry[1]) if self.fault == "rows do not lead" else carry

    @nn.compact
    def __call__(
        self, tokens_BT, carry=None, *, segment_ids_BT=None, positions_BT=None, deterministic=True
    ):
        x_BTD = TokenEmbedding(self.vocabulary_size, WIDTH, nn.initializers.normal(1.0))(tokens_BT)
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


def small(fault=""):
    model = LeakySum(vocabulary_size=7, fault=fault)
    params = model.init(jax.random.key(0), np.zeros((1, checks.LENGTH), np.int32))
    return model, meta.unbox(params)


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
