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
    # `seconds` at the last row of metrics and those since then of steps that were compiled for;
    # since that row:
    logged_seconds: float = 0.0
    data_wait_seconds: float = 0.0
    nats: float = 0.0
    weight: float = 0.0
    untimed_weight: float = 0.0  # of steps that were compiled for: how long they took is not known
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

    def add_times(
        self, begin: float, wait: float, data_wait: float, is_compiling: bool, weight: float
    ) -> None:
        """Adds the seconds of one step: to begin it, that its result and its data were waited for.

        Each step has its own, so that the last one, after which none begins, is no faster.
        """
        self.data_wait_seconds += data_wait
        self.seconds += wait
        if is_compiling:
            self.compile_seconds += begin
            self.logged_seconds += wait + data_wait
            self.untimed_weight += weight
        else:
            self.seconds += begin

    def follow_examples(self, batch: Batch) -> None:
        """Adds the examples of a batch, by their content, to the hash chain."""
        chain = hashlib.sha256(self.examples.encode())
        for array in (batch.tokens_BT, batch.targets_BT, batch.weights_BT, batch.continues_B):
            chain.update(array.tobytes())
        self.examples = chain.hexdigest()
