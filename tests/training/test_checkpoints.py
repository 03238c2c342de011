from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.training.checkpoints import Checkpoints
from lmjax.training.state import TrainState


def state_at(step):
    params = {"params": {"kernel": np.full((2, 3), step, np.float32)}}
    return TrainState(
        step=np.int32(step),
        params=params,
        optimizer_state=(np.int32(step), params),
        carry=None,
        learning_rate_scale=np.float32(0.5),
    )


@pytest.fixture
def checkpoints(tmp_path):
    found = Checkpoints(tmp_path / "checkpoints", keep=2)
    yield found
    found.close()


def test_what_is_saved_comes_back(checkpoints):
    position = {
        "stream": "a-b",
        "data": {"next_index": 7},
        "best_nats_per_token": float("inf"),
        "nats": 0.1 + 0.2,
    }
    checkpoints.save(state_at(3), position, None)
    state = checkpoints.restore(state_at(0))
    assert checkpoints.position("a-b") == position
    with pytest.raises(UserError, match="no longer gives the tokens"):
        checkpoints.position("a-c")
    assert state.step == 3 and state.learning_rate_scale == 0.5
    np.testing.assert_array_equal(state.params["params"]["kernel"], np.full((2, 3), 3))
    assert state.optimizer_state[0] == 3


def test_the_newest_and_the_best_are_kept(checkpoints):
    for step, nats in enumerate([3.0, 1.0, 2.0, None, 1.0, 1.5]):
        checkpoints.save(state_at(step), {}, nats)
    for step in (1, 4, 5):
        np.testing.assert_array_equal(
            checkpoints.restore_params(step)["params"]["kernel"][0, 0], step
        )
    for step in (0, 2, 3):
        with pytest.raises(UserError, match="kept: 1, 4, 5"):
            checkpoints.restore_params(step)


def test_an_uncommitted_one_is_not_seen(checkpoints, tmp_path):
    checkpoints.save(state_at(1), {}, None)
    checkpoints.save(state_at(2), {}, None)
    (tmp_path / "checkpoints" / "2" / "commit_success.txt").unlink()
    (tmp_path / "checkpoints" / "9").mkdir()
    again = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert again.latest == 1
    again.save(replace(state_at(2), learning_rate_scale=jnp.float32(1.0)), {}, None)
    assert again.latest == 2
    again.close()
