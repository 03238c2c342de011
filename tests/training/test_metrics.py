"""The lines that people read fit their terminal and repeat the row's own figures."""

import pytest

from lmjax.training.metrics import evaluation_line, result_line, train_line

ROW = {
    "step": 120_000,
    "seconds": 40_000.0,
    "loss": 5.35349,
    "bits_per_byte": 7.72341,
    "learning_rate": 2.1899e-06,
    "tokens_per_second": 1_146_076.4,
}


def test_a_line_of_training():
    line = train_line(ROW | {"step": 15_106, "seconds": 3_725.0}, 30_212)
    assert line == (
        "step 15,106/30,212: loss 5.3535, 7.723 bits/byte, rate 2.19e-06, 1.15M tokens/s, "
        "1 h 02 min left"
    )


def test_a_line_of_steps_that_were_compiled_for_tells_no_rate():
    line = train_line(ROW | {"tokens_per_second": None}, 130_000)
    assert line.endswith("rate 2.19e-06, 55 min 33 s left")


@pytest.mark.parametrize("total", [120_001, 240_000, 999_999])
def test_lines_fit_into_a_terminal(total):
    assert len(train_line(ROW, total)) <= 100


SCORE = {
    "step": 30_212,
    "split": "validation",
    "context": "carried",
    "perplexity": 1114.512,
    "nats_per_token": 4.741234,
    "bits_per_byte": 1.67801,
    "unknowns": 3342,
    "nats_of": "causal",
}


def test_lines_of_scores():
    assert evaluation_line(SCORE) == (
        "step 30,212: validation perplexity 1,114.51 (4.7412 nats), 1.678 bits/byte, 3,342 unknown"
    )
    assert result_line(SCORE | {"unknowns": 0}) == (
        "result: validation perplexity 1,114.51 (4.7412 nats), 1.678 bits/byte, carried"
    )
    of_words = {"nats_of": "glove_weighted_squares", "perplexity": None, "bits_per_byte": None}
    assert result_line(SCORE | of_words | {"unknowns": 0}) == (
        "result: validation 4.7412, glove_weighted_squares, carried"
    )
    for context in ("windowed_256_stride_256", "carried_16_rows_overlap_256"):
        assert len(result_line(SCORE | {"context": context, "unknowns": 0})) <= 100
