"""Peer: KenLM's Python module scores a text of a sentence a line with a model on disk.

python kenlm_score.py --model model.bin --text test.txt --steps 5
"""

import argparse
import json
import statistics
import time
from importlib.metadata import version

import kenlm


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--steps", type=int, default=5, help="how often the whole text is scored")
    arguments = parser.parse_args()
    start = time.perf_counter()
    model = kenlm.Model(arguments.model)
    load_seconds = time.perf_counter() - start
    with open(arguments.text, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    tokens = sum(len(line.split()) + 1 for line in lines)  # </s> is scored, too
    times = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        log10 = sum(model.score(line, bos=True, eos=True) for line in lines)
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    print(
        json.dumps(
            {
                "name": f"kenlm score, order {model.order}",
                "ms_per_step": round(1e3 * seconds, 2),
                "steps": arguments.steps,
                "tokens": tokens,
                "tokens_per_s": round(tokens / seconds),
                "load_seconds": round(load_seconds, 3),
                "perplexity": round(10 ** (-log10 / tokens), 6),
                "kenlm": version("kenlm"),
            }
        )
    )


if __name__ == "__main__":
    main()
