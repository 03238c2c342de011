"""Scores of a trained model that adapts to the text while it is read."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console

from lmjax.data.context import ContextPolicy
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.evaluation.adaptation import UnigramCache, tune_cache
from lmjax.evaluation.dynamic_evaluation import (
    DynamicEvaluation,
    dynamic_log_probs,
    followed,
    gradient_roots,
    tune_dynamic,
)
from lmjax.evaluation.neural_cache import NeuralCache, target_states, tune_neural_cache
from lmjax.evaluation.score import Score
from lmjax.evaluation.scoring import (
    context_policy,
    score_of_targets,
    target_log_probs,
    with_context,
)
from lmjax.evaluation.splits import check_splits, log_read
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import say
from lmjax.trained.parts import Parts

TUNED_ON = "validation"


@dataclass(frozen=True)
class AdaptedScore:
    """The score of a split with what adapts to it, and what validation chose of that."""

    score: Score
    unadapted: Score
    details: dict[str, Any]  # as results.json has them: what was chosen, and what was tried


@dataclass(frozen=True)
class Adapting(Parts):
    """Scores texts together with what adapts to them.

    What adapts is tuned on validation alone. For a finished run, its scored checkpoint and its own
    context a score is also put into the `adapted` of its results.json, apart from the models' own.
    Each read of `test` is logged as by `evaluate`. All raise as that does, and UserError for a
    model whose nats are not causal and a corpus without a validation split.
    """

    def evaluate_with_cache(
        self,
        split: str = "validation",
        *,
        reader: str = "lmjax.evaluate_with_cache",
        console: Console | None = None,
        **context: str | int,
    ) -> AdaptedScore:
        """The score of a whole split of the run's corpus with a cache of the last targets.

        See `lmjax.evaluation.adaptation`.
        """

        def predict(*scored: Any) -> tuple[np.ndarray]:
            return (target_log_probs(*scored),)

        given = split, reader, console or Console(quiet=True), context
        return self._with_cache("unigram_cache", predict, tune_cache, *given)

    def evaluate_with_neural_cache(
        self,
        split: str = "validation",
        *,
        reader: str = "lmjax.evaluate_with_neural_cache",
        console: Console | None = None,
        **context: str | int,
    ) -> AdaptedScore:
        """The same with a continuous cache, of the hidden states of a model that shows them.

        See `lmjax.evaluation.neural_cache`.
        """
        given = split, reader, console or Console(quiet=True), context
        return self._with_cache("neural_cache", target_states, tune_neural_cache, *given)

    def evaluate_dynamically(
        self,
        split: str = "validation",
        rule: str = "rms",
        *,
        segment: int = 20,
        rates: Sequence[float] = (),
        decays: Sequence[float] = (),
        tuning_targets: int = 0,
        reader: str = "lmjax.evaluate_dynamically",
        console: Console | None = None,
        **context: str | int,
    ) -> AdaptedScore:
        """The same with parameters that follow the text by a `rule`, `sgd` or `rms`.

        See `lmjax.evaluation.dynamic_evaluation`, also for the rates and decays that are tried if
        none are given, each on the first `tuning_targets` of validation, 0: all. `rms` reads a part
        of the training text, too. Raises UserError for a model that is counted.
        """
        console = console or Console(quiet=True)
        if self.model.is_counted:
            raise UserError(
                "dynamic evaluation steps along a gradient, and this model's parameters are "
                "counts; evaluate it with a cache"
            )
        policy, streams, train = self._begin(split, context)
        DynamicEvaluation(rule, 0.0, 0.0, segment)
        own, roots = self._is_own(policy), None
        policy = followed(policy, segment)
        whose, kind = (self.model, self.params), "dynamic_evaluation"
        if rule == "rms":
            self._log("train", train, "take the gradients of", policy, kind, reader)
            roots = gradient_roots(*whose, train, policy, self.objective, segment)
        self._log(TUNED_ON, streams[TUNED_ON], "tune on it at", policy, kind, reader)
        dynamic, tried = tune_dynamic(
            *whose,
            streams[TUNED_ON],
            policy,
            self.objective,
            rule,
            segment,
            roots,
            rates,
            decays,
            tuning_targets,
        )
        _say_chosen(console, kind, dynamic)
        stream = streams[split]
        if split != TUNED_ON:
            self._log(split, stream, "score", policy, kind, reader)
        scored = stream, policy, self.objective, dynamic, roots
        adapted_N = dynamic_log_probs(*whose, *scored)
        plain_N = target_log_probs(*whose, stream, policy, 1, self.objective)
        details = _details(dynamic, tried)
        if tuning_targets:
            details["tuning_targets"] = tuning_targets
        return self._scored(kind, split, stream, adapted_N, plain_N, policy, dynamic, details, own)

    def _with_cache(
        self,
        kind: str,
        predict: Callable[..., tuple],
        tune: Callable[..., tuple],
        split: str,
        reader: str,
        console: Console,
        context: dict[str, Any],
    ) -> AdaptedScore:
        policy, streams, _ = self._begin(split, context)
        for name, stream in streams.items():
            purpose = "tune a cache on it at" if name == TUNED_ON else "score with a cache"
            self._log(name, stream, purpose, policy, kind, reader)
            log_probs_N, *states = predict(
                self.model,
                self.params,
                stream,
                policy,
                self.config.data.batch_size,
                self.objective,
            )
            predicted = log_probs_N, stream.tokens_N, *states
            if name == TUNED_ON:
                cache, tried = tune(*predicted)
                _say_chosen(console, kind, cache)
        scores = cache.adapt(*predicted), log_probs_N
        details, own = _details(cache, tried), self._is_own(policy)
        return self._scored(kind, split, stream, *scores, policy, cache, details, own)

    def _begin(
        self, split: str, context: dict[str, Any]
    ) -> tuple[ContextPolicy, dict[str, TokenStream], TokenStream]:
        """The context, validation before the split, so that no choice has seen it, and training."""
        kind = self.objective.nats_of(self.model)
        if kind != "causal":
            raise UserError(
                f"what adapts to a text goes by what stands before each target, and this model's "
                f"nats are {kind}; evaluate it as it is"
            )
        policy = context_policy(with_context(self.config, context), self.model)
        dataset = self.dataset()
        names = list(dict.fromkeys((TUNED_ON, split)))
        check_splits(names, dataset, policy, self.objective)
        return policy, {name: dataset.splits[name] for name in names}, dataset.splits["train"]

    def _is_own(self, policy: ContextPolicy) -> bool:
        return policy == context_policy(self.config, self.model)

    def _log(self, name, stream, purpose, policy, kind, reader) -> None:
        log_read(
            RunDirectory(self.workdir),
            name,
            purpose,
            step=self.step,
            context=f"{policy.name}, {kind.replace('_', ' ')}",
            fingerprint=stream.fingerprint,
            reader=self._named(reader),
        )

    def _scored(
        self, kind, split, stream, adapted_N, plain_N, policy, adapted_by, details, own
    ) -> AdaptedScore:
        named = (adapted_N, f"{policy.name}_{adapted_by.name}"), (plain_N, policy.name)
        scores = (
            score_of_targets(log_probs_N, stream, name, self.model, self.objective)
            for log_probs_N, name in named
        )
        found, run = AdaptedScore(*scores, details), RunDirectory(self.workdir)
        if own and self.is_of_results:
            with only_writer(run.path):
                run.add_adapted(kind, split, found.score.to_json(), details)
        return found


Adapted = UnigramCache | NeuralCache | DynamicEvaluation


def _say_chosen(console: Console, kind: str, chosen: Adapted) -> None:
    numbers = (
        f"{name} {value:.4g}"
        for name, value in asdict(chosen).items()
        if not isinstance(value, str)
    )
    say(console, f"{TUNED_ON} prefers of {kind.replace('_', ' ')}: {', '.join(numbers)}")


def _details(chosen: Adapted, tried: list[dict]) -> dict[str, Any]:
    return {**asdict(chosen), "tuned_on": TUNED_ON, "tried": tried}
