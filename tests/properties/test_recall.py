"""Associative recall (Graves et al. 2014, section 4.3): attention solves it, a state does not.

A row tells five keys, each with its value, and then asks for the value of one of them.
"""

from types import SimpleNamespace

import jax
import numpy as np

from lmjax.config import base_config
from lmjax.data.batch import Batch
from lmjax.models.registry import build_model
from lmjax.objectives.causal import Causal
from lmjax.training.durations import Clock
from lmjax.training.program import make_program

PAIRS, KEYS, VALUES = 5, 8, 8
SPAN = 16
LENGTH = 2 * PAIRS + 1
ROWS, STEPS = 63, 600  # an odd number of rows: one device, which has nothing to wait for
TOKENIZER = SimpleNamespace(vocabulary_size=KEYS + VALUES, start_id=0, end_id=None)


def recall_batch(seed: tuple[int, int], rows: int) -> Batch:
    """Rows of `key value ... key value key`; only what follows the last key is a target."""
    random = np.random.default_rng(seed)
    keys_BP = np.argsort(random.random((rows, KEYS)), axis=1)[:, :PAIRS]
    values_BP = KEYS + random.integers(VALUES, size=(rows, PAIRS))
    asked_B = np.arange(rows), random.integers(PAIRS, size=rows)
    told_BT = np.stack([keys_BP, values_BP], axis=-1).reshape(rows, -1)
    tokens_BT = np.concatenate([told_BT, keys_BP[asked_B][:, None]], axis=1).astype(np.int32)
    targets_BT, weights_BT = np.zeros_like(tokens_BT), np.zeros(tokens_BT.shape, np.float32)
    targets_BT[:, -1], weights_BT[:, -1] = values_BP[asked_B], 1.0
    return Batch(tokens_BT, targets_BT, weights_BT, None, None, np.full(rows, False))


def accuracy(name: str, **fields) -> float:
    """The share of right answers to questions that training has not asked."""
    config = base_config(name)
    config.model.update(layers=1, width=32, initialization=0.5, **fields)
    config.data.update(batching="windows", batch_size=ROWS, length=LENGTH)
    config.training.update(duration=f"{STEPS} steps", learning_rate=1e-2, warmup="5 percent")
    config.training.clip_norm = 1.0
    model = build_model(config.model, TOKENIZER)
    clock = Clock(STEPS, ROWS * LENGTH).with_total(config.training.duration)
    program = make_program(config, model, clock, Causal())
    execution = program.execution
    state = execution.place_state(program.fresh_state(), program.named)
    for step in range(STEPS):
        batch = execution.place_batch(recall_batch((0, step), ROWS))
        state, metrics = execution(state, batch)
        metrics["nats"].block_until_ready()
    asked = recall_batch((1, 0), 2000)
    logits_BTV, _ = jax.jit(model.apply)(execution.fetch(state.params), asked.tokens_BT)
    answers_B = np.argmax(logits_BTV[:, -1], axis=-1)
    return float(np.mean(answers_B == asked.targets_BT[:, -1]))


def test_attention_over_a_span_that_holds_the_pairs_recalls_all_of_them():
    assert accuracy("attention_rnn", score="general", span=SPAN) >= 0.99


def test_a_state_of_the_same_width_recalls_about_a_third():
    assert 0.2 < accuracy("rnn", cell="lstm") < 0.5
