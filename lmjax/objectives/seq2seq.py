"""Predict each token of a target from its source and the target's tokens before it."""

from dataclasses import dataclass

from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective


@dataclass(frozen=True)
class SequenceToSequence(Objective):
    """Minus the log-probability of each target (Sutskever et al. 2014, equation 1).

    Teacher-forced: what a model reads before a target are the true tokens, not its own.
    """

    serves = ("source",)
    needs_source = True

    def nats_of(self, model: LanguageModel) -> str:
        return "conditional"
