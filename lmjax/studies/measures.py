"""What is matched among the arms of a study, counted from shapes alone: nothing is allocated."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from lmjax.data.dataset import Dataset, open_dataset
from lmjax.models.cost import count_parameters, state_bytes
from lmjax.models.registry import build_model, model_class
from lmjax.objectives.registry import make_objective
from lmjax.studies.study import Arm
from lmjax.training.durations import Clock
from lmjax.training.program import training_cost
from lmjax.training.state import initial_params


def is_counted(arm: Arm) -> bool:
    """Whether the arm's model is counted, not descended; it then states its own size."""
    return model_class(arm.config.model.name).is_counted


def training_clock(arm: Arm, dataset: Dataset) -> Clock:
    """What a step of the arm is worth, and how many its training has."""
    return _clock(arm, dataset).with_total(arm.config.training.duration)


class Measures:
    """The figures of arms; each text is opened once, and each figure counted once."""

    def __init__(self):
        self._known: dict[tuple[str, ...], Any] = {}

    def of(self, arm: Arm, quantity: str) -> float:
        """One of MATCHES; raises UserError for an arm that can't be."""
        if quantity == "training_tokens":
            return self.clock(arm).with_total(arm.config.training.duration).total_tokens
        if quantity == "training_flops":
            per_token = self._once(arm, quantity, _training_flops_per_token)
            return per_token * self.of(arm, "training_tokens")
        return self._once(arm, quantity, SIZE_COUNTS[quantity])

    def clock(self, arm: Arm) -> Clock:
        """What a step of the arm is worth."""
        data, objective = arm.config.data.to_json(), arm.config.objective.to_json()
        key = "clock", data, objective, str(arm.config.seed)
        return self._remembered(key, lambda: _clock(arm, self._dataset(arm)))

    def _once(self, arm: Arm, quantity: str, count: Callable[[Arm, Dataset], float]) -> float:
        config = arm.config
        key = quantity, config.model.to_json(), config.data.to_json(), config.objective.to_json()
        return self._remembered(key, lambda: count(arm, self._dataset(arm)))

    def _dataset(self, arm: Arm) -> Dataset:
        key = "dataset", arm.config.data.to_json()
        return self._remembered(key, lambda: open_dataset(arm.config.data))

    def _remembered(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


def _clock(arm: Arm, dataset: Dataset) -> Clock:
    objective = make_objective(arm.config.objective, dataset.tokenizer)
    batching = objective.batching(dataset.splits["train"], arm.config.data, arm.config.seed)
    return Clock(batching.steps_per_epoch, batching.tokens_per_step)


def _abstract(arm: Arm, dataset: Dataset) -> tuple[Any, Any]:
    """The model, and the shapes of its parameters with the names of their axes."""
    model = build_model(arm.config.model, dataset.tokenizer)
    return model, jax.eval_shape(partial(initial_params, model, length=1), np.uint32(0))


def _parameters(arm: Arm, dataset: Dataset) -> int:
    return count_parameters(_abstract(arm, dataset)[1])[0]


def _non_embedding(arm: Arm, dataset: Dataset) -> int:
    return count_parameters(_abstract(arm, dataset)[1])[1]


def _state_bytes(arm: Arm, dataset: Dataset) -> int:
    objective = make_objective(arm.config.objective, dataset.tokenizer)
    data = arm.config.data
    return state_bytes(*_abstract(arm, dataset), objective.row_length(data), data.source_length)


def _training_flops_per_token(arm: Arm, dataset: Dataset) -> float:
    objective = make_objective(arm.config.objective, dataset.tokenizer)
    cost = training_cost(arm.config.data, objective, *_abstract(arm, dataset))
    return cost.training_operations_per_token


SIZE_COUNTS = {
    "parameters": _parameters,
    "non_embedding_parameters": _non_embedding,
    "state_bytes": _state_bytes,
}
