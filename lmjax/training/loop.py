"""Training by gradient: the loop.

Its order is law: stop if asked, evaluate if due, save if due, end if it is over, pull a batch,
step, look at the step before and log it. So the device is never waited for, and a checkpoint holds
nothing that was not looked at.
"""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console

from lmjax.checkpoints.identity import check_identity, identity
from lmjax.checkpoints.store import Checkpoints
from lmjax.data.batch import Batch
from lmjax.errors import DivergedError, UserError
from lmjax.evaluation.astray import astray
from lmjax.evaluation.scoring import score_stream
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.signals import StopSignals
from lmjax.runs.startup import Startup
from lmjax.runs.terminal import progress_bar, say
from lmjax.training.averaging import triggers
from lmjax.training.health import Unhealthy, examine
from lmjax.training.metrics import (
    cost_table,
    evaluation_line,
    evaluation_row,
    train_line,
    train_row,
)
from lmjax.training.position import Position
from lmjax.training.program import TrainingPlan
from lmjax.training.seats import OwnSeat, Seat, Stepped, Steps, run_alone


@dataclass(frozen=True)
class Pending:
    """A step that was asked for and not yet looked at. Its own times are added when it is."""

    stepped: Stepped
    batch: Batch
    data_wait_seconds: float


class TrainingLoop:
    """One run of training by gradient, from wherever its checkpoints left it.

    Its state lies in `seat`; without one, it trains alone. It saves and stops when `signals` say
    so, and after step `stop_at` before anything else. What the first step waited for, it tells of
    `startup`.
    """

    def __init__(
        self,
        run: RunDirectory,
        plan: TrainingPlan,
        console: Console,
        *,
        seat: Seat | None = None,
        signals: StopSignals | None = None,
        stop_at: int | None = None,
        startup: Startup | None = None,
    ):
        self.run, self.plan, self.console, self.stop_at = run, plan, console, stop_at
        self.seat = seat or OwnSeat(plan.execution, plan.named)
        self.signals = signals or StopSignals()
        self.total_steps = plan.clock.total_steps
        console.print(cost_table(plan.config, plan.cost))
        self.batches = plan.batches()
        self.checkpoints = Checkpoints(
            run.checkpoints,
            keep=plan.config.checkpoint.keep,
            keep_every=plan.every.keep,
            say=self._say,
        )
        self.pending: Pending | None = None
        if self._restore():
            self.batches.set_state(self.position.data)
            self._say(f"resumed at step {self.position.step:,}")
        self._startup = startup
        if startup:
            startup.end("state")

    def run_to_end(self) -> Any:
        """Trains what is left, alone, and returns the parameters to be scored, on the host.

        Raises Stopped if a signal or `stop_at` ends it before, when all is saved.
        """
        progress = progress_bar(self.console, "training", self.total_steps, self.position.step)
        with self.signals.deferred(), progress as advance:
            return run_alone(self.steps(advance), self.seat)

    def steps(self, advance: Callable[[], None] = lambda: None) -> Steps:
        """The same, as a generator that yields each batch and is sent what became of it.

        `advance` is called after each step.
        """
        with self._saved_at_last():
            while True:
                try:
                    self._stop_if_asked()
                    if self._evaluation_is_due():
                        self._evaluate()
                    if self._save_is_due():
                        self._save()
                    if self._is_over():
                        break
                    batch, data_wait_seconds = self._pull()
                    self._take_in(Pending((yield batch), batch, data_wait_seconds))
                    advance()
                except Unhealthy as finding:
                    self._roll_back(finding)
            if self._scores_best:
                return self.checkpoints.restore_params(self.position.best_step)
            return self.seat.fetch_params()

    def summary(self) -> dict[str, Any]:
        """The entry `training` of the results."""
        position = self.position
        return {
            "duration": self.plan.config.training.duration,
            "initial_params": position.initial_params,
            "continued_from": position.continued_from,
            "steps": position.step,
            "tokens": position.step * self.plan.clock.tokens_per_step,
            "distinct_tokens": self.plan.distinct_tokens(self.batches.get_state()["next_index"]),
            "seconds": position.seconds + position.data_wait_seconds,
            "compile_seconds": position.compile_seconds,
            "scored_step": position.best_step if self._scores_best else position.step,
            "stopped_early": position.step < self.total_steps,
            "devices": self.seat.device_count,
            "replicas": self.seat.replicas,
            "examples": position.examples,
            "skips": position.skips,
            "rollbacks": position.rollbacks,
            "spikes": position.spikes,
        }

    def _is_over(self) -> bool:
        patience = self.plan.config.evaluation.patience
        out_of_patience = patience and self.position.evaluations_since_best >= patience
        return self.position.step >= self.total_steps or bool(out_of_patience)

    def _evaluation_is_due(self) -> bool:
        return self._is_over() or self._due(self.plan.every.evaluate)

    def _save_is_due(self) -> bool:
        is_best = self.position.best_step == self.position.step
        return self._is_over() or is_best or self._due(self.plan.every.save)

    def _due(self, every: int) -> bool:
        return bool(every and self.position.step and self.position.step % every == 0)

    def _stop_if_asked(self) -> None:
        """Saves and raises Stopped if a signal came, or at `stop_at`."""
        if not (self.signals.received or self.position.step == self.stop_at):
            return
        self._save()
        self.checkpoints.wait()
        stopped = self.signals.stopped(f" at step {self.position.step:,}, saved")
        self.run.log(str(stopped))
        raise stopped

    @property
    def _scores_best(self) -> bool:
        return self.plan.config.evaluation.checkpoint == "best"

    def _pull(self) -> tuple[Batch, float]:
        """A batch, and the seconds that were waited for it."""
        self.checkpoints.check()
        start = time.monotonic()
        return next(self.batches), time.monotonic() - start

    def _take_in(self, made: Pending) -> None:
        """Looks at the step before the one just made."""
        self.position.seconds += made.stepped.seconds_before
        before, self.pending = self.pending, made
        self._look_at(before)
        self.position.step += 1

    def _look_at(self, pending: Pending | None) -> None:
        """Takes in step `position.step`, whose metrics are pending, and logs it if due."""
        if pending is None:
            return
        stepped, batch, position = pending.stepped, pending.batch, self.position
        start = time.monotonic()
        metrics = self.seat.fetch(stepped.metrics)
        position.add_times(
            stepped.seconds,
            time.monotonic() - start,
            pending.data_wait_seconds,
            stepped.is_compiling,
            float(metrics["weight"]),
        )
        if self._startup:
            self._startup.end("first step")
            self._say(self._startup.line())
            self._startup = None
        position.follow_examples(batch)
        try:
            examine(position, metrics, self.plan.leaf_names, self.plan.config.health)
        except Unhealthy as finding:
            self._treat(finding, batch)
        if self._due(self.plan.every.log):
            row = train_row(self.plan, position, metrics)
            self.run.append_metrics(row)
            self._say(train_line(row, self.total_steps))

    def _flush(self) -> None:
        """Looks at the step just made; nothing is evaluated or saved before that."""
        pending, self.pending = self.pending, None
        self._look_at(pending)

    def _treat(self, finding: Unhealthy, batch: Batch) -> None:
        """Goes on after a spike or a skipped step; raises `finding` again to be rolled back."""
        position, what = self.position, f"step {self.position.step:,}: {finding.what}"
        if finding.remedy == "log":
            self._say(what)
            return
        kept = self.run.write_batch(position.step, asdict(batch))
        done = {"stop": 0, "skip": position.skips, "rollback": position.rollbacks}[finding.remedy]
        if finding.remedy == "stop" or done >= self.plan.config.health.retries:
            tried = f" after {done} times {finding.remedy}" if done else ""
            self.run.log(what)
            raise DivergedError(
                f"{what}{tried}; nothing of it was saved. Its batch is in {kept}: look at it with "
                f"`lmjax doctor replay --workdir={self.run.path}`, then {finding.cure}"
            )
        self._say(f"{what}; {finding.remedy} {done + 1} (its batch is in {kept})")
        if finding.remedy == "rollback":
            raise finding
        position.skips += 1

    def _roll_back(self, finding: Unhealthy) -> None:
        """Back to the newest checkpoint, and on with the batches after those already seen.

        Chowdhery et al. 2022 (PaLM), section 5.1.
        """
        self.checkpoints.wait()
        counted = replace(self.position, rollbacks=self.position.rollbacks + 1)
        self._restore()
        self.position.rollbacks, self.position.spikes = counted.rollbacks, counted.spikes
        self.pending = None
        self._say(f"rolled back to step {self.position.step:,}: {finding.what}")

    def _restore(self) -> bool:
        """State and position of the newest intact checkpoint, or of the beginning without one."""
        step = self.checkpoints.newest_intact()
        if step is None:
            begun = self.plan.begun()
            state, origin = begun.state, begun.initial_params
            self.position = Position(data=self.batches.get_state(), initial_params=origin)
            for remark in begun.remarks:
                self._say(remark)
        else:
            about = self.checkpoints.about(step)
            folder = self.run.checkpoints / str(step)
            check_identity(about, self.plan.config, self.plan.train, folder)
            if (here := self.seat.described()) != about["devices"]:
                self._say(f"saved on {about['devices']}, now on {here}: equal to rounding only")
            self.position = Position(**about["position"])
            if about["config"]["training"]["duration"] != self.plan.config.training.duration:
                self.position.continued_from = [*self.position.continued_from, step]
                self.position.evaluations_since_best = 0
            state = self.checkpoints.restore(step, self.plan.abstract_state())
            state = replace(state, hyperparameters=self.plan.hyperparameters)
            if self._scores_best and self.position.best_step >= 0:
                self._require_best()
        self.run.truncate_metrics(self.position.step, self.position.evaluated_step)
        self.seat.take(state)
        return step is not None

    def _require_best(self) -> None:
        """Raises UserError now if the best checkpoint is lost, not when training ends."""
        try:
            self.checkpoints.require(self.position.best_step)
        except UserError as error:
            raise UserError(
                f"{error}. It is the best one so far: to score the last instead, add "
                "--config.evaluation.checkpoint=last"
            ) from error

    def _evaluate(self) -> None:
        self._flush()
        position, plan = self.position, self.plan
        if position.evaluated_step == position.step:
            return
        score = score_stream(
            plan.model,
            self.seat.params(),
            plan.validation,
            plan.policy,
            plan.config.data.batch_size,
            plan.objective,
            on_scored=lambda targets: self._stop_if_asked(),
        )
        row = evaluation_row(plan, position, score)
        self.run.append_metrics(row)
        self._say(evaluation_line(row))
        for line in astray(score, plan.model.vocabulary_size):
            self._say(f"validation: {line}")
        position.evaluated_step = position.step
        self._average_if_triggered(score.nats_per_token)
        if score.nats_per_token < position.best_nats_per_token:
            position.best_step, position.best_nats_per_token = position.step, score.nats_per_token
            position.evaluations_since_best = 0
            return
        position.evaluations_since_best += 1
        training = plan.config.training
        if training.schedule == "plateau":
            self.seat.scale_learning_rate(training.decay_factor)

    def _average_if_triggered(self, nats_per_token: float) -> None:
        position, training = self.position, self.plan.config.training
        before, position.evaluations = position.evaluations, [*position.evaluations, nats_per_token]
        if training.averaging != "triggered" or position.averaged_since >= 0:
            return
        if triggers(before, nats_per_token, training.averaging_patience):
            position.averaged_since = position.step
            self.seat.begin_averaging()
            self._say(
                f"step {position.step:,}: from now on, parameters are averaged over the steps"
            )

    def _save(self) -> None:
        self._flush()
        self.position.data = self.batches.get_state()
        about = {
            "position": asdict(self.position),
            **identity(self.plan.config, self.plan.train),
            "devices": self.seat.described(),
        }
        needs = {self.position.best_step} - {-1, self.position.step}
        self.checkpoints.save(self.seat.fetch_state(), about, needs=needs)

    @contextmanager
    def _saved_at_last(self):
        """Waits at the end for the save in the background.

        An error of that save is raised; while another error is raised, it is only logged.
        """
        try:
            yield
        except BaseException:
            try:
                self.checkpoints.close()
            except UserError as error:
                self._say(str(error))
            raise
        self.checkpoints.close()

    def _say(self, line: str) -> None:
        self.run.log(line)
        say(self.console, line)
