"""A carry that depends on the parameters reaches all that makes one; letters have a legend."""

import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lmjax
from lmjax.data.context import ContextPolicy
from lmjax.evaluation.scoring import score_stream
from lmjax.generation.generate import generate
from lmjax.generation.sampling import Sampler
from lmjax.models import contract
from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.models.cost import model_cost
from tests.streams import stream_of

VOCABULARY = 4


class LearnedStart(LanguageModel):
    """Each row's logits are always its carry, which begins as the parameter `start`, scaled."""

    def setup(self):
        axes = nn.with_logical_partitioning(nn.initializers.normal(1.0), ("vocab",))
        self.start_V = self.param("start", axes, (self.vocabulary_size,))

    def initial_carry(self, batch_size, max_length, scale=1.0):
        return jnp.broadcast_to(scale * self.start_V, (batch_size, self.vocabulary_size))

    def __call__(self, tokens_BT, carry=None, **context):
        logits_BV = self.initial_carry(len(tokens_BT), 0) if carry is None else carry
        return jnp.repeat(logits_BV[:, None], tokens_BT.shape[1], axis=1), carry


model = LearnedStart(VOCABULARY)
params = {"params": {"start": np.float32([0.0, -1.0, 5.0, 1.0])}}


def test_a_source_goes_to_the_method():
    carry_BV = initial_carry(model, params, 2, 3, scale=2.0)
    np.testing.assert_array_equal(carry_BV, np.tile([0, -2, 10, 2], (2, 1)))


def test_scores_and_samples_begin_with_the_carry_of_the_parameters():
    score = score_stream(model, params, stream_of([2, 2, 3]), ContextPolicy("carried"), 1)
    log_probs_V = jax.nn.log_softmax(params["params"]["start"])
    assert score.total_nats == pytest.approx(-float(log_probs_V[2] * 2 + log_probs_V[3]), rel=1e-6)
    greedy = Sampler(temperature=0)
    assert generate(model, params, [[1]], length=3, sampler=greedy, seed=0, start_id=0) == [[2] * 3]


def test_the_cost_counts_the_carry_of_the_parameters():
    boxed = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 3), np.int32))
    assert model_cost(model, boxed, 3).state_bytes == 4 * VOCABULARY


def test_every_letter_that_names_of_arrays_end_in_is_in_the_legend():
    legend = set(re.findall(r"^- ([A-Z]): ", contract.__doc__, re.MULTILINE)) | {"C"}
    used = {}
    for path in Path(lmjax.__file__).parent.rglob("*.py"):
        for name in re.findall(r"\b[a-z]\w*_[A-Z][A-Z0-9]{0,4}\b", path.read_text("utf-8")):
            for letter in re.findall("[A-Z]", name.rpartition("_")[2]):
                used.setdefault(letter, f"{name} in {path.name}")
    assert {letter: name for letter, name in used.items() if letter not in legend} == {}
    assert legend <= set(used)
