"""Training by gradient: the loop.

Its order is law: evaluate if due, save if due, pull a batch, step, log the step before. So the
device is never waited for, and a checkpoint holds nothing that was not looked at.
"""

import math
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from lmjax.data.batches import evaluation_batches, steps_per_epoch, training_batches
from lmjax.data.dataset import Dataset
from lmjax.errors import UserError
from lmjax.evaluation.scoring import context_policy, score_stream
from lmjax.models.contract import LanguageModel
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.checkpoints import Checkpoints
from lmjax.training.cost import model_cost
from lmjax.training.durations import Clock
from lmjax.training.execution import make_execution
from lmjax.training.optimizers import make_optimizer, make_schedule
from lmjax.training.progress import cost_table, evaluation_line, progress_bar, train_line
from lmjax.training.state import first_nonfinite, initial_state
from lmjax.training.step import TrainStep, leaf_names


@dataclass
class Position:
    """Where a run is: what a checkpoint holds beside the arrays. Seconds exclude evaluation."""

    data: Any = None  # of the input pipeline
    stream: str = ""  # fingerprint of the tokens that `data` counts in
    step: int = 0
    seconds: float = 0.0
    compile_seconds: float = 0.0
    logged_seconds: float = 0.0  # `seconds` at the last row of metrics, and since then:
    data_wait_seconds: float = 0.0
    nats: float = 0.0
    weight: float = 0.0
    evaluated_step: int = -1
    best_step: int = -1
    best_nats_per_token: float = math.inf
    evaluations_since_best: int = 0


class Descent:
    """One run of training by gradient, from wherever its checkpoints left it."""

    def __init__(
        self,
        run: RunDirectory,
        config: ConfigDict,
        dataset: Dataset,
        model: LanguageModel,
        console: Console,
    ):
        self.run, self.config, self.model, self.console = run, config, model, console
        self.train, self.validation = dataset.splits["train"], dataset.splits["validation"]
        data, training = config.data, config.training
        clock = Clock(steps_per_epoch(self.train, data), data.batch_size * data.length)
        clock = clock.with_total(training.duration)
        self.clock, self.total_steps = clock, clock.total_steps
        self.evaluate_every = clock.steps(config.evaluation.every)
        self.save_every = clock.steps(config.checkpoint.every)
        self.log_every = clock.steps(config.logging.every)
        self.policy = context_policy(config, model)
        next(
            evaluation_batches(self.validation, self.policy, 1)
        )  # a split too short is refused now
        if data.batching == "stream" and model.longest_context is not None:
            raise UserError(
                f"model {config.model.name!r} takes in {model.longest_context} tokens at most, so "
                "its state can't be carried from batch to batch; set data.batching to 'windows'"
            )

        optimizer = make_optimizer(training)
        step = TrainStep(
            model=model,
            optimizer=optimizer,
            schedule=make_schedule(training, clock),
            seed=config.seed,
            loss_reduction=training.loss_reduction,
            accumulation_steps=training.accumulation_steps,
        )
        self.execution = make_execution(config.execution, step, data.batch_size)
        begin = partial(
            initial_state,
            model,
            optimizer,
            seed=config.seed,
            batch_size=data.batch_size,
            length=data.length,
            carried=data.batching == "stream",
        )
        named = jax.eval_shape(begin)
        self.cost = model_cost(model, named.params, data.length)
        self.leaf_names = leaf_names(nn.meta.unbox(named.params))
        console.print(cost_table(config, self.cost))

        self.batches = training_batches(self.train, data, config.seed)
        self.checkpoints = Checkpoints(run.checkpoints, config.checkpoint.keep)
        self.position = Position(stream=self.train.fingerprint)
        if self.checkpoints.latest is None:
            state = nn.meta.unbox(jax.jit(begin)())
        else:
            state = self._resume(nn.meta.unbox(named))
        self.run.truncate_metrics(self.position.step)
        self.state = self.execution.place_state(state, named)
        self.pending = None
        self.compiled = False

    def run_to_end(self) -> Any:
        """Trains what is left and returns the parameters to be scored, on the host."""
        position = self.position
        with progress_bar(self.console, "training", self.total_steps, position.step) as advance:
            while True:
                last = position.step >= self.total_steps or self._patience_is_out()
                if last or self._due(self.evaluate_every):
                    self._evaluate()
                last = last or self._patience_is_out()
                best_now = position.best_step == position.step
                if last or best_now or self._due(self.save_every):
                    self._save()
                if last:
                    break
                self._step()
                advance()
        params = self.execution.fetch(self.state.params)
        if self.config.evaluation.checkpoint == "best":
            params = self.checkpoints.restore_params(position.best_step)
        self.checkpoints.close()
        return params

    def summary(self) -> dict[str, Any]:
        """The entry `training` of the results."""
        position = self.position
        best = self.config.evaluation.checkpoint == "best"
        return {
            "steps": position.step,
            "tokens": position.step * self.clock.tokens_per_step,
            "seconds": position.seconds,
            "compile_seconds": position.compile_seconds,
            "scored_step": position.best_step if best else position.step,
            "stopped_early": position.step < self.total_steps,
            "devices": self.execution.device_count,
        }

    def _due(self, every: int) -> bool:
        return bool(every and self.position.step and self.position.step % every == 0)

    def _patience_is_out(self) -> bool:
        patience = self.config.evaluation.patience
        return bool(patience and self.position.evaluations_since_best >= patience)

    def _step(self):
        with self._timed("data_wait_seconds"):
            batch = next(self.batches)
        with self._timed("seconds" if self.compiled else "compile_seconds"):
            self.state, metrics = self.execution(self.state, self.execution.place_batch(batch))
        self.compiled = True
        before, self.pending = self.pending, metrics
        self._log(before)
        self.position.step += 1

    @contextmanager
    def _timed(self, timer: str):
        start = time.monotonic()
        yield
        passed = time.monotonic() - start
        setattr(self.position, timer, getattr(self.position, timer) + passed)

    def _log(self, pending: dict[str, jax.Array] | None):
        """Looks at the metrics of the last step but `position.step`, and logs them if due."""
        if pending is None:
            return
        with self._timed("seconds"):
            metrics = self.execution.fetch(pending)
        position = self.position
        self._refuse_nonfinite(metrics)
        position.nats += float(metrics["nats"])
        position.weight += float(metrics["weight"])
        if not self._due(self.log_every):
            return
        tokens = position.step * self.clock.tokens_per_step
        loss = position.nats / position.weight
        seconds = position.seconds + position.data_wait_seconds
        row = {
            "kind": "train",
            "step": position.step,
            "tokens": tokens,
            "flops": tokens * self.cost.training_flops_per_token,
            "seconds": seconds,
            "loss": loss,
            "bits_per_byte": self._bits_per_byte(loss),
            "learning_rate": float(metrics["learning_rate"]),
            "gradient_norm": float(metrics["gradient_norm"]),
            "tokens_per_second": position.weight / max(1e-9, seconds - position.logged_seconds),
            "data_wait_seconds": position.data_wait_seconds,
        }
        position.seconds = position.logged_seconds = seconds
        position.data_wait_seconds = position.nats = position.weight = 0.0
        self.run.append_metrics(row)
        self._say(train_line(row, self.total_steps))

    def _flush(self):
        """Looks at the step just made; nothing is evaluated or saved before that."""
        pending, self.pending = self.pending, None
        self._log(pending)

    def _bits_per_byte(self, nats_per_token: float) -> float:
        counts = self.train.counts
        return nats_per_token / math.log(2) * counts.tokens / counts.bytes

    def _refuse_nonfinite(self, metrics: dict[str, np.ndarray]):
        bad = ~np.isfinite(metrics["squared_norms_L"])
        if np.isfinite(metrics["nats"]) and not bad.any():
            return
        where = f"in {self.leaf_names[int(bad.argmax())]} first" if bad.any() else "nowhere"
        raise UserError(
            f"at step {self.position.step} the loss is {metrics['nats'] / metrics['weight']} and "
            f"the gradient is not finite {where}; nothing of it was saved: lower "
            "training.learning_rate or set training.clip_norm"
        )

    def _evaluate(self):
        self._flush()
        position = self.position
        if position.evaluated_step == position.step:
            return
        params = self.execution.fetch(self.state.params)
        score = score_stream(
            self.model, params, self.validation, self.policy, self.config.data.batch_size
        )
        tokens = position.step * self.clock.tokens_per_step
        row = {
            "kind": "evaluation",
            "step": position.step,
            "tokens": tokens,
            "flops": tokens * self.cost.training_flops_per_token,
            "seconds": position.seconds,
            "split": "validation",
            "context": score.context,
            "nats_per_token": score.nats_per_token,
            "perplexity": score.perplexity,
            "bits_per_byte": score.bits_per_byte,
        }
        self.run.append_metrics(row)
        self._say(evaluation_line(row))
        position.evaluated_step = position.step
        if score.nats_per_token < position.best_nats_per_token:
            position.best_step, position.best_nats_per_token = position.step, score.nats_per_token
            position.evaluations_since_best = 0
            return
        position.evaluations_since_best += 1
        training = self.config.training
        if training.schedule == "plateau":
            scale = self.state.learning_rate_scale * training.decay_factor
            self.state = replace(self.state, learning_rate_scale=scale)

    def _save(self):
        self._flush()
        position = self.position
        if self.checkpoints.latest == position.step:
            return
        state = self.execution.fetch_state(self.state)
        if bad := first_nonfinite(state):
            raise UserError(
                f"{bad} is not finite after step {position.step}, nothing of it was saved; "
                "lower training.learning_rate or set training.clip_norm"
            )
        position.data = self.batches.get_state()
        scored = position.best_step == position.step
        nats_per_token = position.best_nats_per_token if scored else None
        self.checkpoints.save(state, asdict(position), nats_per_token)

    def _resume(self, like):
        self.position = Position(**self.checkpoints.position(self.train.fingerprint))
        state = self.checkpoints.restore(like)
        self.batches.set_state(self.position.data)
        self._say(f"resumed at step {self.position.step:,}")
        return state

    def _say(self, line: str):
        self.run.log(line)
        self.console.print(line, highlight=False, soft_wrap=True)
