"""Whether a model lost its way in a part of a text, which the mean over all of it may hide."""

import math

import numpy as np

from lmjax.evaluation.score import Score

LEAST_TOKENS = 256  # fewer, in a row, may be worse than guessing by chance


def astray(score: Score, vocabulary_size: int) -> list[str]:
    """A line about each run of segments that took as many nats as guessing does, or more.

    Guessing takes ln V nats a token; of fewer than LEAST_TOKENS nothing is said.
    """
    nats_G, tokens_G = (np.array(score.segments[name]) for name in ("nats", "tokens"))
    guessing = math.log(vocabulary_size)
    is_worse_G = np.concatenate([[False], nats_G >= guessing * tokens_G, [False]])
    borders = np.flatnonzero(np.diff(is_worse_G.astype(int))).reshape(-1, 2)
    lines = []
    for begin, end in borders.tolist():
        tokens = int(tokens_G[begin:end].sum())
        if tokens >= LEAST_TOKENS:
            nats = nats_G[begin:end].sum() / tokens
            lines.append(
                f"the model went astray in segments {begin + 1} to {end} of {len(nats_G)}: "
                f"{nats:.2f} nats a token over {tokens:,} tokens, where guessing takes "
                f"{guessing:.2f}"
            )
    return lines
