"""Counting n-grams of texts of growing size: time and memory, each in a process of its own.

`python -m lmjax.checks.benchmarks.counting TOKENS ORDER VOCABULARY` is that process.
"""

import json
import resource
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from lmjax.checks.benchmarks.contract import Case, Result, Turns, run_program
from lmjax.errors import UserError
from lmjax.models.ngram_smoothing import estimate

UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of the system's peak


@dataclass(frozen=True)
class Counting(Case):
    """Kneser-Ney tables of random texts; words are drawn one by one by Zipf's law.

    So nearly all long n-grams differ, which is the most that a text can have.
    """

    sizes: tuple[int, ...]  # tokens
    order: int
    vocabulary_size: int

    takes_steps = takes_rounds = False

    @property
    def about(self) -> str:
        return (
            f"modified Kneser-Ney tables of order {self.order} from texts by Zipf's law, "
            f"V {self.vocabulary_size:,}: nearly all long n-grams differ"
        )

    def measure(self, turns: Turns) -> Result:
        """Each size once."""
        rows = []
        for tokens in self.sizes:
            turns.tell(f"{tokens:,} tokens")
            sizes = map(str, (tokens, self.order, self.vocabulary_size))
            command = [sys.executable, "-m", "lmjax.checks.benchmarks.counting", *sizes]
            done = run_program(command)
            if done.returncode:
                raise UserError(f"counting {tokens:,} tokens failed: {done.stderr.strip()[-300:]}")
            rows.append(json.loads(done.stdout))
        return Result(self.name, self.about, rows)


def _count(tokens: int, order: int, vocabulary_size: int) -> dict:
    weights_V = 1 / np.arange(1, vocabulary_size + 1)
    limits_V = np.cumsum(weights_V / weights_V.sum())
    drawn_N = np.random.default_rng(0).random(tokens)
    tokens_N = np.minimum(np.searchsorted(limits_V, drawn_N), vocabulary_size - 1).astype(np.int32)
    del drawn_N
    stream = SimpleNamespace(tokens_N=tokens_N, start_id=0)
    begin = time.perf_counter()
    rows = size = 0
    for _, table in estimate([stream], order, vocabulary_size, "modified_kneser_ney", -1):
        rows += table["probability_N"].size
        size += sum(leaf.nbytes for leaf in table.values())
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
    return {
        "tokens": tokens,
        "n-grams": rows,
        "seconds": seconds,
        "microseconds a token": 1e6 * seconds / tokens,
        "peak GB": peak / 1e9,
        "bytes a token": peak // tokens,
        "tables GB": size / 1e9,
    }


if __name__ == "__main__":
    print(json.dumps(_count(*map(int, sys.argv[1:]))))
