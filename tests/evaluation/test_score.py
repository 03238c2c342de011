import dataclasses
import json
import math

import pytest

from lmjax.errors import UserError
from lmjax.evaluation.score import Score, compare, spelling_nats

# 1000 lines of 4 words, each of 5 characters and a space or line end; every fifth takes 2 bytes.
LINES = Score(
    total_nats=24_000 * math.log(8),
    spelling_nats=0.0,
    tokens=5_000,
    words=4_000,
    bytes=28_800,
    characters=24_000,
    unknowns=0,
    dropped_bytes=0,
    ends_of_line=1_000,
    nats_of="causal",
    context="carried",
    fingerprint="text-words",
    segments={
        "nats": [24_000 * math.log(8)],
        "spelling_nats": [0.0],
        "tokens": [5_000],
        "bytes": [28_800],
    },
)


def replace(**fields):
    return dataclasses.replace(LINES, **fields)


def test_views_divide_by_what_they_name():
    assert LINES.bits_per_character == pytest.approx(3)
    assert LINES.bits_per_byte == pytest.approx(2.5)
    assert LINES.bits_per_token == pytest.approx(14.4)
    assert 2**LINES.bits_per_token == pytest.approx(LINES.perplexity)
    assert math.exp(LINES.nats_per_token) == pytest.approx(LINES.perplexity)


def test_words_and_line_ends_as_tokens_make_one_perplexity():
    assert LINES.word_perplexity == LINES.perplexity
    bytewise = replace(tokens=LINES.bytes)
    assert bytewise.word_perplexity == LINES.perplexity
    assert bytewise.perplexity == pytest.approx(2**2.5)


def test_what_tokens_do_not_tell_counts_for_the_text_and_not_for_the_tokens():
    told = replace(total_nats=20_000 * math.log(8), spelling_nats=4_000 * math.log(8))
    for view in ("bits_per_byte", "bits_per_character", "word_perplexity"):
        assert getattr(told, view) == pytest.approx(getattr(LINES, view))
    for view in ("nats_per_token", "bits_per_token"):
        assert getattr(told, view) == pytest.approx(getattr(LINES, view) * 5 / 6)
    assert told.perplexity == pytest.approx(LINES.perplexity ** (5 / 6))


def test_the_spellings_of_all_words_have_one_probability_together():
    together = 0.0
    for length in range(5000):  # 256**length words, each with an end
        together += math.exp(length * math.log(256) - spelling_nats(length + 1))
        assert together < 1 + 1e-9
    assert together == pytest.approx(1)


def test_not_to_say_that_no_whitespace_was_dropped_is_worth_little():
    """What docs/evaluation.md gives: all whitespace between two words, at the price of a byte."""
    blanks = [chr(code) for code in range(0x3100) if chr(code).isspace() and chr(code) != "\n"]
    together = sum(math.exp(-spelling_nats(len(blank.encode()))) for blank in blanks)
    assert len(blanks) == 28
    assert math.log(1 / (1 - together)) == pytest.approx(0.036, abs=5e-4)


def test_a_text_without_words_has_no_perplexity_of_words():
    assert replace(words=0, ends_of_line=0).word_perplexity is None
    assert replace(bytes=0, characters=0).bits_per_byte is None
    assert replace(bytes=0, characters=0).bits_per_character is None


def test_a_perplexity_beyond_a_float_is_infinite():
    assert replace(total_nats=1e9).perplexity == math.inf


def test_json_holds_fields_and_views():
    written = json.loads(json.dumps(LINES.to_json(), allow_nan=False))
    assert Score.from_json(written) == LINES
    assert written["bits_per_byte"] == LINES.bits_per_byte
    assert written["text_fingerprint"] == "text"
    written["perplexity"] = 1.0
    assert Score.from_json(written).perplexity == LINES.perplexity


def test_scores_of_one_fingerprint_compare_in_every_view():
    worse = replace(total_nats=2 * LINES.total_nats)
    assert compare(worse, LINES) == pytest.approx(2.5)
    assert compare(LINES, worse, "bits_per_character") == pytest.approx(-3)


def test_other_tokens_compare_in_bits_per_byte_alone():
    bytewise = replace(tokens=LINES.bytes, fingerprint="text-bytes")
    assert compare(bytewise, LINES) == 0
    with pytest.raises(UserError, match="perplexity is not comparable across tokenizers"):
        compare(bytewise, LINES, "perplexity")


def test_other_texts_do_not_compare():
    with pytest.raises(UserError, match="different texts .other and text."):
        compare(replace(fingerprint="other-words"), LINES)


def test_other_contexts_compare_only_if_it_is_meant():
    longer = replace(context="windowed_64_stride_1", total_nats=LINES.total_nats / 2)
    with pytest.raises(UserError, match="different contexts .carried and windowed_64_stride_1."):
        compare(LINES, longer)
    assert compare(LINES, longer, across_contexts=True) == pytest.approx(1.25)


def test_a_smaller_vocabulary_pays_for_what_it_lacks():
    few = replace(total_nats=1.0, spelling_nats=LINES.total_nats, fingerprint="text-few")
    assert compare(few, LINES) > 0
    with pytest.raises(UserError, match="not comparable across tokenizers"):
        compare(few, LINES, "perplexity")


def test_a_view_that_the_text_lacks_does_not_compare():
    without = replace(words=0, ends_of_line=0)
    with pytest.raises(UserError, match="the text has no word_perplexity"):
        compare(without, without, "word_perplexity")


def test_an_unknown_view_is_refused():
    with pytest.raises(UserError, match="did you mean 'perplexity'"):
        compare(LINES, LINES, "perplexty")
