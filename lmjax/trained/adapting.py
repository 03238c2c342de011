"""Scores of a trained model that adapts to the text while it is read."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from lmjax.errors import UserError
from lmjax.evaluation.adaptation import tune_cache
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
    """The score of a split with a cache, and what validation chose of it."""

    score: Score
    unadapted: Score
    details: dict[str, Any]  # as results.json has them: the cache, and what was tried


@dataclass(frozen=True)
class Adapting(Parts):
    """Scores texts together with what adapts to them."""

    def evaluate_with_cache(
        self,
        split: str = "validation",
        *,
        reader: str = "lmjax.evaluate_with_cache",
        console: Console | None = None,
        **context: str | int,
    ) -> AdaptedScore:
        """The score of a whole split of the run's corpus with a cache beside the model.

        Length and weight of the cache are those that validation prefers, see
        `lmjax.evaluation.adaptation`. For a finished run, its scored checkpoint and its own context
        it is also put into the `adapted` of its results.json, apart from the models' own scores.
        Each read of `test` is logged as by `evaluate`. Raises as that does, and UserError for a
        model whose nats are not causal and a corpus without a validation split.
        """
        run, console = RunDirectory(self.workdir), console or Console(quiet=True)
        kind = self.objective.nats_of(self.model)
        if kind != "causal":
            raise UserError(
                f"a cache is of the text before each target, and this model's nats are {kind}; "
                "evaluate it without one"
            )
        policy = context_policy(with_context(self.config, context), self.model)
        dataset = self.dataset()
        splits = list(dict.fromkeys((TUNED_ON, split)))
        check_splits(splits, dataset, policy, self.objective)
        for name in splits:  # validation first, so that no choice has seen the other one
            stream = dataset.splits[name]
            purpose = "tune a cache on it at" if name == TUNED_ON else "score with a cache"
            log_read(
                run,
                stream,
                name,
                purpose,
                step=self.step,
                context=f"{policy.name}, unigram cache",
                reader=self._named(reader),
            )
            log_probs_N = target_log_probs(
                self.model,
                self.params,
                stream,
                policy,
                self.config.data.batch_size,
                self.objective,
            )
            if name == TUNED_ON:
                cache, tried = tune_cache(log_probs_N, stream.tokens_N)
                say(console, f"{name} prefers a cache of {cache.length}, weight {cache.weight:.4f}")
        adapted_N = cache.adapt(log_probs_N, stream.tokens_N)
        scores = (
            score_of_targets(probs_N, stream, name, self.model, self.objective)
            for probs_N, name in (
                (adapted_N, f"{policy.name}_{cache.name}"),
                (log_probs_N, policy.name),
            )
        )
        details = {
            "length": cache.length,
            "weight": cache.weight,
            "tuned_on": TUNED_ON,
            "tried": tried,
        }
        found = AdaptedScore(*scores, details)
        own = policy == context_policy(self.config, self.model)
        if own and self.is_of_results:
            with only_writer(run.path):
                run.add_adapted("unigram_cache", split, found.score.to_json(), details)
        return found
