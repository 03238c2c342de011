"""Scores of a trained model whose predictions are averaged over masks of its dropout."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from lmjax.errors import UserError
from lmjax.evaluation.monte_carlo import averaged_log_probs, check_averaging
from lmjax.evaluation.score import Score
from lmjax.evaluation.scoring import (
    context_policy,
    score_of_targets,
    score_stream,
    with_context,
)
from lmjax.evaluation.splits import check_splits, log_read
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import say
from lmjax.trained.parts import Parts

AVERAGED = ("causal", "conditional", "labels")  # kinds of nats that are of one probability each


@dataclass(frozen=True)
class AveragedScore:
    """The score of a split over several passes with dropout."""

    score: Score
    plain: Score  # without dropout
    details: dict[str, Any]  # as results.json has them
    nats: list[float]  # of the mean of the first pass, the first two, ...


@dataclass(frozen=True)
class Averaging(Parts):
    """Scores texts by the mean of several predictions."""

    def evaluate_with_dropout(
        self,
        split: str = "validation",
        passes: int = 100,
        *,
        seed: int = 0,
        reader: str = "lmjax.evaluate_with_dropout",
        console: Console | None = None,
        **context: str | int,
    ) -> AveragedScore:
        """The score of a whole split of the run's corpus by Monte Carlo dropout.

        For a finished run, its scored checkpoint and its own context it is also put into the
        `adapted` of its results.json, apart from the models' own scores. Each read of `test` is
        logged as by `evaluate`. Raises as that does, as `check_averaging`, and UserError for a
        model whose nats are not those of a text after what stands before it.
        """
        run, console = RunDirectory(self.workdir), console or Console(quiet=True)
        kind = self.objective.nats_of(self.model)
        if kind not in AVERAGED or self.model.is_counted:
            raise UserError(
                f"dropout is averaged over where nats are {' or '.join(AVERAGED)}, of a model that "
                f"is trained by gradient; these are {kind}, so evaluate it without mc_dropout"
            )
        policy = context_policy(with_context(self.config, context), self.model)
        data = self.config.data
        example = self.objective.example_batch(data)
        check_averaging(self.model, self.params, example, self.objective, passes)
        dataset = self.dataset()
        check_splits([split], dataset, policy, self.objective)
        stream, name = dataset.splits[split], f"{policy.name}_mc_dropout_{passes}"
        log_read(
            run,
            split,
            "score",
            step=self.step,
            context=name,
            fingerprint=stream.fingerprint,
            reader=self._named(reader),
        )
        scored = self.model, self.params, stream, policy, data.batch_size, self.objective
        say(console, f"{split}: {passes} passes with dropout")
        log_probs_N, nats = averaged_log_probs(
            *scored, passes=passes, length=data.length, seed=seed
        )
        score = score_of_targets(log_probs_N, stream, name, self.model, self.objective)
        details = {"passes": passes, "seed": seed}
        found = AveragedScore(score, score_stream(*scored), details, nats)
        own = policy == context_policy(self.config, self.model)
        if own and self.is_of_results:
            with only_writer(run.path):
                run.add_adapted("mc_dropout", split, score.to_json(), details)
        return found
