"""Where a run is: what a checkpoint holds beside the arrays."""

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

from lmjax.data.batch import Batch


@dataclass
class Position:
    """The counters and timers of a run. Seconds exclude evaluation."""

    data: Any = None  # of the input pipeline
    examples: str = ""  # hash chain of all examples trained on
    step: int = 0
    initial_params: str = ""  # run, step and digest of the parameters it began with
    continued_from: list[int] = field(default_factory=list)  # steps, each of an end before
    seconds: float = 0.0
    compile_seconds: float = 0.0
    logged_seconds: float = 0.0  # `seconds` at the last row of metrics, and since then:
    data_wait_seconds: float = 0.0
    nats: float = 0.0
    weight: float = 0.0
    right: float = 0.0  # the weight of targets that were the model's first choice
    evaluated_step: int = -1
    best_step: int = -1
    best_nats_per_token: float = math.inf
    evaluations_since_best: int = 0
    evaluations: list[float] = field(default_factory=list)  # nats per token of each so far
    averaged_since: int = -1  # the step after which parameters began to be averaged
    skips: int = 0
    rollbacks: int = 0
    spikes: int = 0
    spiking: bool = False  # whether the step before was a spike
    losses: int = 0  # steps that these running figures have seen:
    loss_mean: float = 0.0
    loss_deviation: float = 0.0  # mean distance from the mean

    def follow_examples(self, batch: Batch) -> None:
        """Adds the examples of a batch, by their content, to the hash chain."""
        chain = hashlib.sha256(self.examples.encode())
        for array in (batch.tokens_BT, batch.targets_BT, batch.weights_BT, batch.continues_B):
            chain.update(array.tobytes())
        self.examples = chain.hexdigest()
