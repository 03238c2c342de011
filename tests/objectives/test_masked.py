"""What is hidden in training and in evaluation, and its nats, against a model done by hand."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.config import base_config, model_config, objective_config
from lmjax.data.batch import Batch
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.context import ContextPolicy
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.training_batches import make_batching
from lmjax.data.wrapped_tokenizers import SpecialTokenizer
from lmjax.errors import UserError
from lmjax.evaluation.scoring import score_stream
from lmjax.models.registry import build_model
from lmjax.objectives.registry import check_batches, check_objective, make_objective
from tests.streams import stream_of
from tests.toy_models import SurroundingsModel

MASK, VOCABULARY = 7, 8
STREAM = stream_of(np.random.default_rng(0).integers(0, MASK, 103))
TOKENIZER = SimpleNamespace(
    vocabulary_size=VOCABULARY,
    special_id={"mask": MASK, "class": 5, "separator": 6}.get,
    word_goes_on=lambda: (bytes([0, 0, 1, 1, 1, 0, 0, 0]), bytes([1, 1, 1, 1, 1, 0, 0, 0])),
)


def make(tokenizer=TOKENIZER, **fields):
    config = objective_config("masked")
    config.update(fields)
    return make_objective(config, tokenizer)


def batch_of(targets_BT, weights_BT=None, **fields):
    targets_BT = np.asarray(targets_BT, np.int32)
    weights_BT = np.ones(targets_BT.shape) if weights_BT is None else np.asarray(weights_BT)
    given = dict(segment_ids_BT=None, positions_BT=None, continues_B=np.full(len(targets_BT), True))
    weights_BT = weights_BT.astype(np.float32)
    return Batch(np.full_like(targets_BT, -9), targets_BT, weights_BT, **{**given, **fields})


def random_batch(rows=400, length=20, padded=0):
    generator = np.random.default_rng(1)
    weights_BT = np.ones((rows, length))
    weights_BT[:, length - padded :] = 0
    return batch_of(generator.integers(0, MASK, (rows, length)), weights_BT)


def prepared(objective, batch, seed=0):
    return objective.prepare(batch, np.random.default_rng(seed))


def test_a_share_of_each_row_is_hidden_and_nothing_else_is_changed():
    batch = random_batch(padded=5)
    found = prepared(make(share=0.2), batch)
    hidden_BT = found.weights_BT > 0
    np.testing.assert_array_equal(hidden_BT.sum(axis=1), 3)  # of 15
    assert not hidden_BT[:, -5:].any()
    np.testing.assert_array_equal(found.tokens_BT[~hidden_BT], batch.targets_BT[~hidden_BT])
    np.testing.assert_array_equal(found.targets_BT, batch.targets_BT)
    np.testing.assert_array_equal(found.segment_ids_BT[:, :-5], 0)
    np.testing.assert_array_equal(found.segment_ids_BT[:, -5:], -1)
    np.testing.assert_allclose(hidden_BT[:, :-5].mean(axis=0), 0.2, atol=0.07)  # anywhere


def test_eight_in_ten_become_the_mask_one_another_token_and_one_stays():
    batch = random_batch(rows=2000)
    found = prepared(make(share=0.5), batch)
    hidden_BT = found.weights_BT > 0
    shown_N, target_N = found.tokens_BT[hidden_BT], batch.targets_BT[hidden_BT]
    any_token = 1 / VOCABULARY
    assert np.mean(shown_N == MASK) == pytest.approx(0.8 + 0.1 * any_token, abs=0.01)
    assert np.mean(shown_N == target_N) == pytest.approx(0.1 + 0.1 * any_token, abs=0.01)
    counts_V = np.bincount(shown_N[(shown_N != MASK) & (shown_N != target_N)], minlength=MASK)
    np.testing.assert_allclose(counts_V[:MASK] / len(shown_N), 0.1 * any_token, atol=0.005)


def test_what_is_hidden_is_a_function_of_the_generator():
    batch, objective = random_batch(rows=4), make()
    one, other = prepared(objective, batch), prepared(objective, batch, seed=1)
    jax.tree.map(np.testing.assert_array_equal, one, prepared(objective, batch))
    assert (one.tokens_BT != other.tokens_BT).any()


def test_whole_words_are_hidden_or_shown():
    # Tokens 2, 3 and 4 go on with a word that any of 0 to 4 has begun.
    targets_T = [0, 2, 3, 0, 1, 4, 5, 6, 2, 0]
    words = [[0, 1, 2], [3], [4, 5], [6], [7], [8], [9]]
    found = prepared(make(share=0.3, whole_words=True), batch_of([targets_T] * 300))
    hidden_BT = found.weights_BT > 0
    for word in words:
        assert (hidden_BT[:, word].any(axis=1) == hidden_BT[:, word].all(axis=1)).all()
        assert 0.1 < hidden_BT[:, word[0]].mean() < 0.5
    assert hidden_BT.sum(axis=1).max() == 3


def test_a_word_ends_where_its_document_or_what_is_scored_does():
    targets_BT, weights_BT = [[0, 2, 2, 2]] * 200, [[1, 1, 1, 0]] * 200
    segments_BT = np.repeat([[0, 0, 1, 1]], 200, axis=0)
    batch = batch_of(targets_BT, weights_BT, segment_ids_BT=segments_BT)
    hidden_BT = prepared(make(share=0.4, whole_words=True), batch).weights_BT > 0
    assert {tuple(row) for row in hidden_BT.tolist()} == {
        (False, False, True, False),
        (False, False, False, False),  # the first word has two tokens, where one may be hidden
    }


def test_the_letters_of_a_word_belong_together_by_tokenizer():
    tokenizer = SpecialTokenizer(ByteTokenizer(False), ("mask",))
    before_V, after_V = (np.frombuffer(part, bool) for part in tokenizer.word_goes_on())
    ids = tokenizer.encode("ab, c9 é.")
    goes_on = after_V[ids[:-1]] & before_V[ids[1:]]
    text = "ab, c9 \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}."  # é takes two bytes
    expected = [a not in ", ." and b not in ", ." for a, b in zip(text[:-1], text[1:], strict=True)]
    np.testing.assert_array_equal(goes_on, expected)
    assert len(before_V) == tokenizer.vocabulary_size and not before_V[-1]


def test_pieces_of_a_word_belong_together(data_dir):
    folder = data_dir / "tokenizer_bert_uncased"
    tokenizer = read_tokenizer_file(str(folder / "vocab.txt"), True)
    before_V, after_V = (np.frombuffer(part, bool) for part in tokenizer.word_goes_on())
    ids = tokenizer.encode("an unaffable zzyx")
    goes_on = after_V[ids[:-1]] & before_V[ids[1:]]
    pieces = [tokenizer.pieces[i] for i in ids]
    assert goes_on.tolist() == [piece.startswith("##") for piece in pieces[1:]]
    assert goes_on.any() and not goes_on.all()


@pytest.mark.parametrize(
    "policy",
    [
        ContextPolicy("windowed", window=11),
        ContextPolicy("windowed", window=11, stride=4),
        ContextPolicy("documents"),
    ],
    ids=["windows", "overlapping", "documents"],
)
@pytest.mark.parametrize("evaluation", ["complementary", "pseudo_likelihood"])
def test_each_target_is_hidden_once_alone_or_with_a_share_of_the_others(policy, evaluation):
    stream = stream_of(STREAM.tokens_N, document_starts=(0, 9, 10, 40, 70))
    objective = make(evaluation=evaluation, evaluation_passes=4)
    hidden_times_N = np.zeros(103)
    for batch, places_BT in objective.evaluation_batches(stream, policy, 2):
        hidden_BT = batch.weights_BT > 0
        np.add.at(hidden_times_N, places_BT[hidden_BT], 1)
        exists_BT = batch.segment_ids_BT >= 0
        shown_BT = exists_BT & ~hidden_BT
        np.testing.assert_array_equal(batch.tokens_BT[hidden_BT], MASK)
        np.testing.assert_array_equal(
            batch.tokens_BT[shown_BT], stream.tokens_N[places_BT[shown_BT]]
        )
        most = 1 if evaluation == "pseudo_likelihood" else objective.most_hidden(11)
        if policy.kind == "windowed":
            assert hidden_BT.sum(axis=1).max() <= most
            np.testing.assert_array_equal(exists_BT, places_BT < 103)
    np.testing.assert_array_equal(hidden_times_N, 1)


def model_and_table(seed=0):
    model = SurroundingsModel(vocabulary_size=VOCABULARY)
    params = model.init(jax.random.key(seed), np.zeros((1, 1), np.int32))
    return model, params, np.asarray(params["params"]["table"], np.float64)


def log_probs_of(table_NV, others):
    """Of all tokens, where the `others` of the segment are these."""
    logits_V = table_NV[others].sum(axis=0)
    return logits_V - np.log(np.exp(logits_V).sum())


@pytest.mark.parametrize("batch_size", [1, 3])
def test_pseudo_likelihood_is_that_of_each_token_given_all_others(batch_size):
    model, params, table_NV = model_and_table()
    windows = [STREAM.tokens_N[begin : begin + 10] for begin in range(0, 103, 10)]
    expected, right = 0.0, 0
    for window in windows:
        for place, target in enumerate(window):
            log_probs_V = log_probs_of(table_NV, np.delete(window, place))
            expected -= log_probs_V[target]
            right += log_probs_V.argmax() == target
    objective = make(evaluation="pseudo_likelihood")
    policy = ContextPolicy("windowed", window=10)
    score = score_stream(model, params, STREAM, policy, batch_size, objective)
    assert score.total_nats == pytest.approx(expected, rel=1e-5)
    assert (score.right, score.accuracy) == (right, right / 103)
    assert (score.tokens, score.nats_of) == (103, "pseudo_likelihood")


def test_the_score_of_complementary_masks_does_not_depend_on_the_batch_size():
    model, params, _ = model_and_table()
    policy = ContextPolicy("windowed", window=10)
    one, other = (
        score_stream(model, params, STREAM, policy, size, make(evaluation_passes=3))
        for size in (1, 4)
    )
    assert one.total_nats == pytest.approx(other.total_nats, rel=1e-6)
    assert one.nats_of == "masked_1_of_3"
    reseeded = make(evaluation_passes=3, evaluation_seed=1)
    again = score_stream(model, params, STREAM, policy, 4, reseeded)
    assert again.total_nats != pytest.approx(other.total_nats, rel=1e-6)


def test_nats_and_right_ones_are_those_of_the_hidden_tokens():
    model, params, table_NV = model_and_table()
    batch = prepared(make(share=0.3), random_batch(rows=3, length=7, padded=2))
    outcome = make(share=0.3)(model, params, batch, None)
    nats, right = 0.0, 0
    for row, place in np.argwhere(batch.weights_BT > 0):
        others = np.delete(batch.tokens_BT[row, :5], place)
        log_probs_V = log_probs_of(table_NV, others)
        nats -= log_probs_V[batch.targets_BT[row, place]]
        right += log_probs_V.argmax() == batch.targets_BT[row, place]
    assert outcome.nats == pytest.approx(nats, rel=1e-5)
    assert outcome.counts == {"tokens": 6, "sequences": 3, "right": right}
    assert outcome.extras == {} and outcome.carry is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(share=0.0), "objective.share is 0"),
        (dict(share=1.5), "objective.share is 1.5"),
        (dict(mask_share=0.8, random_share=0.3), "more than 1 together"),
        (dict(evaluation="pseudo"), "did you mean 'pseudo_likelihood'"),
        (dict(evaluation_passes=1), "at least 2"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        make(**fields)


def test_a_tokenizer_without_a_mask_is_refused_with_the_cure():
    with pytest.raises(UserError, match=r"data.special_tokens=\('mask',\)"):
        make(ByteTokenizer(False))


def test_a_carried_context_is_refused():
    with pytest.raises(UserError, match="evaluation.context to 'windowed' or 'documents'"):
        next(make().evaluation_batches(STREAM, ContextPolicy("carried"), 1))


def test_batches_and_models_that_do_not_go_together_are_refused():
    config, model = base_config(), SurroundingsModel(vocabulary_size=VOCABULARY)
    config.objective = objective_config("masked")
    config.data.batching = "stream"
    with pytest.raises(UserError, match="data.batching 'stream'; set it to 'windows'"):
        check_batches(config, make(), STREAM)
    config.data.batching = "sentence_pairs"
    plain = SimpleNamespace(**{**vars(TOKENIZER), "special_id": {"mask": MASK}.get})
    with pytest.raises(UserError, match="'mask', 'class', 'separator'"):
        check_objective(config, make(plain), model)
    with pytest.raises(UserError, match="set both or none"):
        check_objective(config, make(next_sentence=True), model)
    with pytest.raises(UserError, match="objective.name to 'masked'"):
        check_objective(config, make_objective(objective_config("causal"), TOKENIZER), model)


def test_special_tokens_stand_around_the_texts_of_a_pair_and_are_never_hidden():
    data = SimpleNamespace(batching="sentence_pairs", batch_size=50, length=12, resets="none")
    raw = make_batching(STREAM, data, 0).batch(0)
    found = prepared(make(share=0.5, mask_share=1.0, random_share=0.0, next_sentence=True), raw)
    special_BT = (raw.segment_ids_BT == 0) & (raw.weights_BT == 0)
    np.testing.assert_array_equal(special_BT.sum(axis=1), 3)
    np.testing.assert_array_equal(found.tokens_BT[:, 0], 5)
    np.testing.assert_array_equal(found.tokens_BT[special_BT & (np.arange(12) > 0)[None]], 6)
    assert not found.weights_BT[special_BT].any()
    text_BT = (raw.weights_BT > 0) & (found.weights_BT == 0)
    np.testing.assert_array_equal(found.tokens_BT[text_BT], raw.targets_BT[text_BT])
    np.testing.assert_array_equal(found.tokens_BT[found.weights_BT > 0], MASK)


def test_whether_a_pair_belongs_together_is_a_loss_apart():
    data = SimpleNamespace(batching="sentence_pairs", batch_size=6, length=12, resets="none")
    objective = make(next_sentence=True)
    batch = prepared(objective, make_batching(STREAM, data, 0).batch(0))
    config = model_config("bert")
    config.update(width=8, heads=2, layers=1, context_length=12, next_sentence=True, dropout=0.0)
    model = build_model(config, TOKENIZER)
    params = model.init(jax.random.key(0), batch.tokens_BT)
    params["params"]["next_head"]["bias"] = np.array([1.0, 0.0])
    params["params"]["next_head"]["kernel"] = np.zeros((8, 2))
    outcome = objective(model, params, batch, None)
    follows, elsewhere = np.log1p(np.exp(-1.0)), np.log1p(np.exp(1.0))
    expected = np.where(batch.is_next_B, follows, elsewhere).mean()
    assert outcome.extras == {"next_sentence": pytest.approx(expected, rel=1e-5)}
    assert 0 < batch.is_next_B.sum() < 6
    alone = make()(model, params, batch, None)
    assert alone.nats == pytest.approx(float(outcome.nats), rel=1e-6) and alone.extras == {}
