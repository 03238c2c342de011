"""Scoring a text, beside the model's forward pass over the same batches and nothing else."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import jax
import numpy as np

from lmjax.checks.benchmarks.contract import Case, Result, Turns
from lmjax.checks.benchmarks.training import TrainingStep
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.context import ContextPolicy
from lmjax.data.streams import TokenStream, stream_of
from lmjax.evaluation.scoring import CAUSAL, batch_predictions, score_stream, scored_batches


@dataclass(frozen=True)
class Evaluating(Case):
    """`tokens` random tokens, scored under each of the policies by the model of a training step."""

    step: TrainingStep
    policies: tuple[ContextPolicy, ...]
    tokens: int

    takes_steps = False

    @property
    def about(self) -> str:
        return f"scoring {self.tokens:,} tokens, beside forward passes alone, by {self.step.about}"

    def measure(self, turns: Turns) -> Result:
        """Scoring and forward passes over all targets in turns, `rounds` times."""
        program = self.step.program()
        params = program.fresh_state().params
        stream = random_stream(self.tokens, self.step.vocabulary_size)
        rows = []
        for policy in self.policies:
            turns.tell(policy.name)
            given = program.model, params, stream, policy, self.step.batch_size
            spent = [[], []]
            runs = partial(score_stream, *given), _forward(*given)
            for _ in range(1 + turns.rounds):
                for times, run in zip(spent, runs, strict=True):
                    begin = time.perf_counter()
                    run()
                    times.append(time.perf_counter() - begin)
            seconds, least = (statistics.median(times[1:]) for times in spent)
            rows.append(
                {
                    "context": policy.name,
                    "scored tokens a second": self.tokens / seconds,
                    "seconds": seconds,
                    "forward alone": least,
                    "share of its speed": least / seconds,
                }
            )
        return Result(self.name, self.about, rows)


def _forward(*given) -> Callable[[], None]:
    """A function that predicts every target of all batches, from the devices, and waits once."""
    calls = []

    def kept(*call):
        calls.append(call)
        return batch_predictions(*call)

    for _ in scored_batches(*given, CAUSAL, predict=kept):
        pass

    def run():
        found = None
        for call in calls:
            found = batch_predictions(*call)
        jax.block_until_ready(found)

    return run


def random_stream(tokens: int, vocabulary_size: int) -> TokenStream:
    """A text of so many tokens, drawn uniformly."""
    stream = stream_of(["x" * tokens], ByteTokenizer(False))
    drawn_N = np.random.default_rng(0).integers(0, vocabulary_size, tokens, np.int32)
    return replace(stream, tokens_N=drawn_N)
