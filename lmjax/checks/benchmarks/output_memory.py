"""Memory and time of a training step with a large vocabulary, by how many logits are held."""

import statistics
from dataclasses import dataclass, replace

from lmjax.checks.benchmarks.contract import Case, Result, Turns
from lmjax.checks.benchmarks.training import TrainingStep

MEGABYTE = 1e6


@dataclass(frozen=True)
class OutputMemory(Case):
    """The same training step with the logits of all tokens at once, of fewer, and as it chooses."""

    step: TrainingStep
    chunks: tuple[int, ...]  # tokens whose logits are held at a time; 0: all, -1: what is chosen

    steps_of_a_turn = 5

    @property
    def about(self) -> str:
        return f"memory and time by how many logits are held, of {self.step.about}"

    def measure(self, turns: Turns) -> Result:
        """Each number of tokens in turns, which steps of this size make few."""
        rows, runs = [], []
        turns.tell("compiling")
        for chunk in self.chunks:
            step = replace(self.step, model=self.step.model | {"output_options": {"chunk": chunk}})
            program = step.program()
            runs.append(step.runner(program))
            memory = step.compiled(program).memory_analysis()
            rows.append(
                {
                    "logits of": {0: "all tokens", -1: "as chosen"}.get(chunk, f"{chunk} tokens"),
                    "temporary MB": memory.temp_size_in_bytes / MEGABYTE,
                    "arguments MB": memory.argument_size_in_bytes / MEGABYTE,
                }
            )
            runs[-1]()
        times = [[] for _ in runs]
        for turn in range(turns.rounds):
            turns.tell(f"turn {turn + 1} of {turns.rounds}")
            for run, found in zip(runs, times, strict=True):
                found += [run() for _ in range(turns.steps)]
        for row, found in zip(rows, times, strict=True):
            row["ms a step"] = statistics.median(found)
        whole = rows[0]
        for row in rows:
            row["time / whole"] = row["ms a step"] / whole["ms a step"]
            row["memory / whole"] = row["temporary MB"] / whole["temporary MB"]
        tokens = self.step.batch_size * self.step.length
        logits = 4 * tokens * self.step.vocabulary_size / MEGABYTE
        return Result(self.name, self.about, rows, [f"all logits are {logits:,.0f} MB"])
