"""Predict each token from those before it."""

from dataclasses import dataclass

from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective


@dataclass(frozen=True)
class Causal(Objective):
    """Minus the log-probability of each token, given those before it."""

    serves = ("past",)

    def nats_of(self, model: LanguageModel) -> str:
        return "causal"
