"""States to be saved: of made-up arrays, with made-up numbers of a schedule."""

from typing import Any

import numpy as np

from lmjax.training.state import Hyperparameters, TrainState

NUMBERS = Hyperparameters(
    learning_rate=np.float32(0.1),
    final_learning_rate=np.float32(0.01),
    weight_decay=np.float32(0.0),
    dropout=np.float32(0.0),
    warmup_steps=np.int32(2),
    total_steps=np.int32(20),
)


def training_state(step: int, params: Any, optimizer_state: Any, carry: Any = None) -> TrainState:
    """A state after `step` steps with these arrays."""
    return TrainState(
        step=np.int32(step),
        seed=np.uint32(7),
        hyperparameters=NUMBERS,
        params=params,
        optimizer_state=optimizer_state,
        carry=carry,
        learning_rate_scale=np.float32(0.5),
    )
