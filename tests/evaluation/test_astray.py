import math

import numpy as np

from lmjax.evaluation.astray import astray
from tests.evaluation.test_score import replace

GUESSING = math.log(100)


def lines(nats_per_token, tokens):
    nats = [a * b for a, b in zip(nats_per_token, tokens, strict=True)]
    zeros = [0] * len(tokens)
    columns = {"nats": nats, "spelling_nats": zeros, "tokens": tokens, "bytes": zeros}
    score = replace(total_nats=sum(nats), tokens=sum(tokens), segments=columns)
    return astray(score, 100)


def test_a_run_of_segments_worse_than_guessing_is_told():
    (line,) = lines([2, 6, 7, 2], [900, 300, 300, 900])
    assert "segments 2 to 3 of 4" in line
    assert "6.50 nats a token over 600 tokens" in line and f"{GUESSING:.2f}" in line
    first, last = lines([6, 2, 6], [300] * 3)
    assert "segments 1 to 1 of 3" in first and "segments 3 to 3 of 3" in last


def test_a_short_run_and_one_better_than_guessing_are_not_told():
    assert not lines([2, 6, 2], [900, 255, 900])
    assert not lines([4.6, 4.6], [900, 900])
    assert lines([2, 6, 2], [900, 256, 900])


def test_segments_without_tokens_do_not_part_a_run():
    (line,) = lines([6, 0, 6], [200, 0, 200])
    assert "400 tokens" in line


def test_a_row_in_the_middle_of_a_text_is_seen():
    """One of 16 rows that is stuck hardly moves the mean, and is told."""
    tokens = np.full(48, 800)
    nats = np.full(48, 2.3)
    nats[24:27] = 10.6
    assert np.average(nats, weights=tokens) < GUESSING
    (line,) = lines(nats.tolist(), tokens.tolist())
    assert "segments 25 to 27 of 48" in line and "10.60" in line
