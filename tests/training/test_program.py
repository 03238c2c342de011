"""One compiled program for all seeds, learning rates and durations."""

import jax
import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.objectives.causal import Causal
from lmjax.training.durations import Clock
from lmjax.training.program import make_program
from tests.properties.variants import build
from tests.training.test_step import LENGTH, ROWS, batches


def program_of(total_steps=100, **changes):
    config = base_config("rnn")
    config.data.update(batch_size=ROWS, length=LENGTH)
    config.seed = changes.pop("seed", 0)
    config.training.update(changes)
    model = build("rnn", dict(width=8, layers=1, dropout=0.1))
    return make_program(config, model, Clock(10, ROWS * LENGTH, total_steps), Causal())


def texts(program):
    """The programs that make the first state, and a step, as they are given to the compiler."""
    begin = jax.jit(program.begin).lower(np.uint32(program.config.seed), program.hyperparameters)
    (batch,) = batches(1)
    return begin.as_text(), jax.jit(program.step).lower(program.fresh_state(), batch).as_text()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "epoch_decay", "plateau"])
def test_programs_do_not_depend_on_seed_rate_and_duration(schedule):
    first = program_of(schedule=schedule)
    other = program_of(
        1234,
        schedule=schedule,
        seed=2**32 - 1,
        learning_rate=0.7,
        final_learning_rate=0.1,
        warmup="25 percent",
    )
    assert texts(first) == texts(other)
    assert first.fresh_state().seed != other.fresh_state().seed
    assert other.fresh_state().hyperparameters.warmup_steps == 308


@pytest.mark.parametrize("seed", [-1, 2**32, 99999999999999999999])
def test_seeds_that_would_be_cut_are_refused(seed):
    with pytest.raises(UserError, match=f"seed is {seed}"):
        program_of(seed=seed)
