import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

from lmjax.config import base_config, objective_config
from lmjax.data.batch import Batch
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.context import ContextPolicy
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.errors import UserError
from lmjax.evaluation import scoring
from lmjax.evaluation.scoring import batch_predictions, context_policy, score_stream, score_text
from lmjax.objectives.both_directions import BothDirections
from lmjax.objectives.registry import make_objective
from tests.properties.variants import SMALL, VOCABULARY, build
from tests.streams import stream_of
from tests.toy_models import HashModel, hash_log_prob, make_hash_model

SIZE = 103
TOKENS = np.random.default_rng(0).integers(0, 6, SIZE)
SEGMENT_STARTS = [0, 11, 11, 40, 90]
STREAM = stream_of(TOKENS, start_id=4, segment_starts=SEGMENT_STARTS)
READ = [4, *TOKENS]  # READ[k] is read just before target k


def expected_nats(first_read_of_target):
    """Of each segment, target by target: what is read before it begins with READ[first(k)]."""
    table_NV = make_hash_model()[2]
    nats = [
        -hash_log_prob(table_NV, READ[first_read_of_target(k) : k + 1], target)
        for k, target in enumerate(TOKENS)
    ]
    ends = [*SEGMENT_STARTS[1:], SIZE]
    return [sum(nats[begin:end]) for begin, end in zip(SEGMENT_STARTS, ends, strict=True)]


def check(score, expected):
    assert score.total_nats == pytest.approx(sum(expected), rel=1e-6)
    assert score.total_nats == pytest.approx(sum(score.segments["nats"]), rel=1e-12)
    assert score.segments["nats"] == pytest.approx(expected, rel=1e-5)
    assert score.segments["tokens"] == [11, 0, 29, 50, 13]
    assert score.tokens == SIZE


def score(policy, batch_size=4, stream=STREAM, **options):
    model, params, _ = make_hash_model()
    return score_stream(model, params, stream, policy, batch_size, **options)


@pytest.mark.parametrize("chunk", [1, 7, SIZE, 200])
@pytest.mark.parametrize(("rows", "overlap"), [(1, 0), (2, 0), (5, 0), (2, 9), (5, 30), (3, 999)])
def test_carried_equals_target_by_target(rows, overlap, chunk):
    borders = [row * SIZE // rows for row in range(rows)]

    def first_read(k):
        return max(0, max(border for border in borders if border <= k) - overlap)

    result = score(ContextPolicy("carried", rows=rows, overlap=overlap, chunk=chunk))
    check(result, expected_nats(first_read))
    assert result.context == ("carried" if rows == 1 else f"carried_{rows}_rows_overlap_{overlap}")


@pytest.mark.parametrize(("rows", "overlap", "chunk"), [(1, 0, 7), (3, 0, 10), (3, 20, 64)])
def test_by_document_equals_target_by_target(rows, overlap, chunk):
    documents = [0, 5, 41, 42, 90]
    borders = [row * SIZE // rows for row in range(rows)]
    table_NV = make_hash_model()[2]
    expected = 0.0
    for k, target in enumerate(TOKENS):
        start = max(begin for begin in documents if begin <= k)
        first = max(0, max(border for border in borders if border <= k) - overlap)
        read = READ[max(start, first) : k + 1]
        if start >= first:
            read[0] = READ[0]
        expected -= hash_log_prob(table_NV, read, target)
    stream = stream_of(TOKENS, documents, start_id=4, segment_starts=SEGMENT_STARTS)
    policy = ContextPolicy(rows=rows, overlap=overlap, chunk=chunk, by_document=True)
    result = score(policy, stream=stream)
    assert result.total_nats == pytest.approx(expected, rel=1e-6)
    assert result.context.startswith("carried_by_document")


def test_rows_that_read_all_before_them_score_as_one():
    many = ContextPolicy("carried", rows=4, overlap=SIZE)
    assert score(many).total_nats == pytest.approx(score(ContextPolicy()).total_nats, rel=1e-9)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
@pytest.mark.parametrize(("window", "stride"), [(10, 10), (10, 3), (10, 1), (SIZE, SIZE)])
def test_windowed_equals_target_by_target(window, stride, batch_size):
    windows = range(0, SIZE, stride)
    expected = expected_nats(lambda k: min(begin for begin in windows if k < begin + window))
    result = score(ContextPolicy("windowed", window=window, stride=stride), batch_size)
    check(result, expected)
    assert result.context == f"windowed_{window}_stride_{stride}"


@pytest.mark.parametrize("family", ["transformer", "rnn"])
def test_of_windows_only_the_targets_that_count_have_logits(family, monkeypatch):
    """Windows of 10, 4 at a time, of which 3 targets count; all of them in the first batch."""
    model = build(family, SMALL[family])
    params = meta.unbox(model.init(jax.random.key(0), np.zeros((1, 10), np.int32)))
    policy = ContextPolicy("windowed", window=10, stride=3)
    counted = score_stream(model, params, STREAM, policy, 4).segments["nats"]
    batch, _ = next(evaluation_batches(STREAM, policy, 4))
    program = batch_predictions.lower(model, params, batch, None, None, last=3).as_text()
    assert f"<4x3x{VOCABULARY}xf32>" in program or f"<12x{VOCABULARY}xf32>" in program
    assert f"<4x10x{VOCABULARY}xf32>" not in program and f"<40x{VOCABULARY}xf32>" not in program
    monkeypatch.setattr(scoring, "predicts_from_hidden_states", lambda model: False)
    batch_predictions.clear_cache()
    whole = score_stream(model, params, STREAM, policy, 4).segments["nats"]
    np.testing.assert_allclose(counted, whole, rtol=1e-6)
    batch_predictions.clear_cache()


def test_counts_and_fingerprint_are_the_streams():
    counts = replace(STREAM.counts, words=50, bytes=200, unknowns=3, ends_of_line=9, characters=150)
    counts = replace(counts, dropped_bytes=7)
    stream = replace(STREAM, counts=counts, fingerprint="a-b")
    result = score(ContextPolicy(), stream=stream)
    names = ("tokens", "words", "bytes", "characters", "unknowns", "dropped_bytes", "ends_of_line")
    for name in names:
        assert getattr(result, name) == getattr(counts, name)
    assert (result.fingerprint, result.text_fingerprint) == ("a-b", "a")


def test_what_the_tokens_do_not_tell_is_charged_where_it_stands():
    spelled = np.array([0, 0, 5, 2, 0])
    stream = replace(STREAM, segments=replace(STREAM.segments, spelled_G=spelled))
    result = score(ContextPolicy(), stream=stream)
    assert result.spelling_nats == pytest.approx(7 * math.log(257))
    assert result.segments["spelling_nats"] == pytest.approx(list(spelled * math.log(257)))
    assert result.total_nats == score(ContextPolicy()).total_nats


def test_a_count_that_does_not_match_is_an_error():
    stream = replace(STREAM, counts=replace(STREAM.counts, tokens=SIZE + 1))
    with pytest.raises(RuntimeError, match=f"{SIZE} targets were scored in a stream of {SIZE + 1}"):
        score(ContextPolicy(), stream=stream)


def test_nats_are_summed_beyond_float32():
    model, params, _ = make_hash_model()
    tokens_BT, targets_BT = np.array([READ[:-1], TOKENS], np.int32)[:, None]
    log_probs_BT, _ = model.apply(params, tokens_BT, targets_BT, None, method="log_probs")
    expected = -math.fsum(np.asarray(log_probs_BT, np.float64)[0])
    assert score(ContextPolicy(chunk=10)).total_nats == pytest.approx(expected, rel=1e-13)


def test_progress_counts_targets():
    seen = []
    score(ContextPolicy("windowed", window=10, stride=5), on_scored=seen.append)
    assert len(seen) > 1 and sum(seen) == SIZE


def test_nothing_is_compiled_twice():
    traces = []

    class TracedModel(HashModel):
        def log_probs(self, *arguments, **context):
            traces.append(self.states)
            return super().log_probs(*arguments, **context)

    params = make_hash_model()[1]
    for scale in (1.0, 2.0):
        model = TracedModel(vocabulary_size=6)
        scaled = jax.tree.map(lambda leaf, scale=scale: leaf * scale, params)
        score_stream(model, scaled, STREAM, ContextPolicy(chunk=10), 1)
    assert len(traces) == 1


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("policy", [ContextPolicy(chunk=10), ContextPolicy("windowed", window=10)])
def test_the_first_bad_target_is_named(policy, value):
    model, params, _ = make_hash_model()
    params = jax.tree.map(lambda leaf: leaf.at[2, 5].set(value), params)
    table_NV = np.asarray(params["params"]["table"])
    reach = SIZE if policy.kind == "carried" else 10
    log_probs = [
        hash_log_prob(table_NV, READ[k // reach * reach : k + 1], target)
        for k, target in enumerate(TOKENS)
    ]
    bad = int(np.argmin(np.isfinite(log_probs)))
    assert bad > 10 and not np.isfinite(log_probs[bad])
    with pytest.raises(UserError, match=rf"target {bad} \(token {TOKENS[bad]}\) .* broken"):
        score_stream(model, params, STREAM, policy, 3)


def test_rows_on_two_devices_or_one_score_the_same():
    rows_of_a_device = []

    class WatchedModel(HashModel):
        def log_probs(self, tokens_BT, *arguments, **context):
            jax.debug.inspect_array_sharding(
                tokens_BT,
                callback=lambda sharding: rows_of_a_device.append(
                    sharding.shard_shape(tokens_BT.shape)[0]
                ),
            )
            return super().log_probs(tokens_BT, *arguments, **context)

    params = make_hash_model()[1]
    odd, even = (
        score_stream(
            WatchedModel(vocabulary_size=6), params, STREAM, ContextPolicy("windowed", window=10), n
        ).total_nats
        for n in (3, 4)
    )
    assert rows_of_a_device == [3, 2]
    assert even == pytest.approx(odd, rel=1e-9)


def test_a_new_segment_is_scored_without_the_one_before():
    model, params, table_NV = make_hash_model()
    tokens_BT = np.array([[1, 2, 3, 4, 5]], np.int32)
    weights_BT = np.ones((1, 5), np.float32)
    segment_ids_BT = np.array([[0, 0, 1, 1, 1]], np.int32)
    batch = Batch(tokens_BT, tokens_BT, weights_BT, segment_ids_BT, None, np.array([False]))
    log_probs_BT, _, carry = batch_predictions(model, params, batch, None, None)
    expected = [
        hash_log_prob(table_NV, tokens, tokens[-1])
        for tokens in ([1], [1, 2], [3], [3, 4], [3, 4, 5])
    ]
    np.testing.assert_allclose(log_probs_BT[0], expected, rtol=1e-5)
    assert carry is None


def test_positions_reach_the_model():
    class PositionModel(HashModel):
        def log_probs(self, tokens_BT, targets_BT, carry=None, *, positions_BT, **context):
            return -positions_BT.astype(jnp.float32), carry

    tokens_BT, positions_BT = np.array([[[1, 2, 3]], [[0, 1, 0]]], np.int32)
    batch = Batch(tokens_BT, tokens_BT, tokens_BT, None, positions_BT, np.array([False]))
    log_probs_BT, _, _ = batch_predictions(PositionModel(vocabulary_size=6), {}, batch, None, None)
    np.testing.assert_array_equal(log_probs_BT, -positions_BT)


def test_rows_continue_only_where_the_batch_says_so():
    model, params, table_NV = make_hash_model()
    fresh = model.initial_carry(2, 3)
    _, carry = model.apply(params, jnp.array([[1, 2], [3, 4]]), fresh)
    tokens_BT = np.array([[5], [5]], np.int32)
    weights_BT = np.ones((2, 1), np.float32)
    batch = Batch(tokens_BT, tokens_BT, weights_BT, None, None, np.array([True, False]))
    log_probs_BT, _, _ = batch_predictions(model, params, batch, carry, fresh)
    expected = [hash_log_prob(table_NV, tokens, 5) for tokens in ([1, 2, 5], [5])]
    np.testing.assert_allclose(log_probs_BT[:, 0], expected, rtol=1e-5)


def text_model(limit):
    model = HashModel(vocabulary_size=256, limit=limit)
    params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    return model, params, np.asarray(params["params"]["table"])


@pytest.mark.parametrize("text", ["A naïve text.\nTwo lines.", "x"])
@pytest.mark.parametrize("limit", [None, 1, 6, 100])
def test_a_text_is_scored_with_the_context_there_is(text, limit):
    model, params, table_NV = text_model(limit)
    tokenizer = ByteTokenizer(document_end=False)
    targets = list(text.encode())
    read = [tokenizer.start_id, *targets]
    window = min(limit or len(targets), len(targets))
    begins = range(0, len(targets), (window + 1) // 2)
    expected = 0.0
    for k, target in enumerate(targets):
        begin = min(begin for begin in begins if k < begin + window) if limit else 0
        expected -= hash_log_prob(table_NV, read[begin : k + 1], target)
    result = score_text(model, params, tokenizer, text)
    assert result.total_nats == pytest.approx(expected, rel=1e-6)
    assert result.tokens == result.bytes == len(targets)
    assert result.characters == len(text)


def test_an_empty_text_is_refused():
    model, params, _ = text_model(None)
    with pytest.raises(UserError):
        score_text(model, params, ByteTokenizer(document_end=False), "")


def policy_of(limit=None, resets="random", batching="stream", **fields):
    config = base_config("rnn")
    config.data.update(resets=resets, batching=batching)
    config.evaluation.update(fields)
    return context_policy(config, HashModel(vocabulary_size=6, limit=limit))


def test_the_policy_is_the_configurations():
    assert policy_of().name == "carried"
    assert policy_of(rows=32).name == "carried_32_rows_overlap_256"
    assert policy_of(rows=32, overlap=3).name == "carried_32_rows_overlap_3"
    assert policy_of(resets="documents").name == "carried_by_document"
    assert policy_of(batching="packed").name == "carried_by_document"
    assert policy_of(context="windowed").name == "windowed_128_stride_128"
    windowed = policy_of(limit=64, context="windowed", window=64, stride=16)
    assert windowed.name == "windowed_64_stride_16"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "set evaluation.context to 'windowed'"),
        ({"context": "windowed", "window": 65}, "evaluation.window is 65.*64 tokens"),
        ({"context": "window"}, "did you mean 'windowed'"),
        ({"context": "windowed", "window": 8, "stride": 9}, "window is 8 and stride 9"),
    ],
)
def test_a_context_that_the_model_cannot_have_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        policy_of(limit=64, **fields)


def test_a_text_is_scored_from_both_sides_at_once():
    model = build("bilstm", {"width": 4, "layers": 1})
    tokens_BT = np.array([[1, 2, 3, 3]], np.int32)
    params = model.init(jax.random.key(0), tokens_BT)
    letters = CharacterTokenizer("\nabc", False, False)
    score = score_text(model, params, letters, "abcc", objective=BothDirections())
    assert score.nats_of == "both_directions" and score.context == "documents"
    assert score.tokens == 4 and score.total_nats > 4


def test_what_is_no_text_has_no_score_of_one():
    skip_gram = make_objective(objective_config("skip_gram"), None)
    with pytest.raises(UserError, match="skip_gram_negative_sampling, is no text"):
        score_text(None, None, ByteTokenizer(False), "abc", objective=skip_gram)
