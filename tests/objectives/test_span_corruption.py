"""Source and target of a corrupted text hold it all, and evaluation corrupts it in one way."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.config import model_config, objective_config
from lmjax.data.batch import Batch
from lmjax.data.context import ContextPolicy
from lmjax.errors import UserError
from lmjax.evaluation.scoring import score_stream
from lmjax.models.registry import build_model
from lmjax.objectives.registry import make_objective
from tests.streams import stream_of

SENTINELS = [20, 21, 22, 23, 24, 25]
STREAM = stream_of(np.random.default_rng(0).integers(0, 20, 103))


def make(sentinels=SENTINELS, **fields):
    config = objective_config("span_corruption")
    config.update(fields)
    ids = {f"sentinel_{i}": sentinel for i, sentinel in enumerate(sentinels)}
    return make_objective(config, SimpleNamespace(special_id=ids.get, start_id=19))


def batch_of(lengths, width=30):
    targets_BT = np.random.default_rng(1).integers(0, 20, (len(lengths), width)).astype(np.int32)
    weights_BT = (np.arange(width)[None] < np.array(lengths)[:, None]).astype(np.float32)
    return Batch(targets_BT, targets_BT, weights_BT, None, None, np.full(len(lengths), False))


def restored(source, target):
    """The text: each sentinel of the source replaced by what follows it in the target."""
    spans, text = {}, []
    for token in target:
        if token in SENTINELS:
            spans[token] = last = []
        else:
            last.append(token)
    for token in source:
        text += spans.get(token, [token])
    return text, spans


def rows_of(batch):
    for row in range(len(batch.targets_BT)):
        source_T = batch.source_BS[row][batch.source_weights_BS[row] > 0]
        target_T = batch.targets_BT[row][batch.weights_BT[row] > 0]
        yield source_T.tolist(), target_T.tolist()


def test_source_and_target_hold_the_text_and_as_much_is_left_out_as_asked():
    lengths, objective = [30] * 40 + [7, 2], make(noise_density=0.3, mean_span=3.0)
    batch = batch_of(lengths)
    found = objective.prepare(batch, np.random.default_rng(0))
    sizes = set()
    for row, (source, target) in enumerate(rows_of(found)):
        text, spans = restored(source, target)
        assert text == batch.targets_BT[row, : lengths[row]].tolist()
        used = [token for token in source if token in SENTINELS]
        assert used == SENTINELS[: len(used)] and target[-1] == SENTINELS[len(used)]
        assert spans.pop(target[-1]) == [] and all(spans.values())
        noise, count = objective.sizes(lengths[row])
        assert (sum(map(len, spans.values())), len(spans)) == (noise, count)
        sizes.update(map(len, spans.values()))
    assert objective.sizes(30) == (9, 3) and sizes >= {1, 2, 3, 4, 5}
    np.testing.assert_array_equal(found.tokens_BT[:, 0], 19)
    np.testing.assert_array_equal(found.tokens_BT[:, 1:], found.targets_BT[:, :-1])


def test_a_row_of_one_token_is_left_out():
    found = make().prepare(batch_of([30, 1, 0]), np.random.default_rng(0))
    assert found.weights_BT[0].any() and not found.weights_BT[1:].any()


def test_evaluation_leaves_out_the_same_whatever_the_batch_size():
    objective = make(noise_density=0.5, mean_span=1.5)  # three spans, of many lengths
    policy = ContextPolicy("windowed", window=10)
    one, four = (
        [
            (source, target)
            for batch, _ in objective.evaluation_batches(STREAM, policy, size)
            for source, target in rows_of(batch)
            if target
        ]
        for size in (1, 4)
    )
    assert one == four and len(one) == 11
    for batch, places_BT in objective.evaluation_batches(STREAM, policy, 4):
        is_text_BT = (batch.weights_BT > 0) & (batch.targets_BT < 20)
        np.testing.assert_array_equal(
            batch.targets_BT[is_text_BT], STREAM.tokens_N[places_BT[is_text_BT]]
        )


def test_a_score_has_targets_and_no_text():
    config = model_config("seq2seq")
    config.update(width=4, layers=1)
    tokenizer = SimpleNamespace(vocabulary_size=26)
    tokenizer.source = tokenizer
    model = build_model(config, tokenizer)
    params = model.init(jax.random.key(0), np.zeros((1, 2), np.int32))
    policy, objective = ContextPolicy("windowed", window=10), make()
    score = score_stream(model, params, STREAM, policy, 4, objective)
    batches = [batch for batch, _ in objective.evaluation_batches(STREAM, policy, 4)]
    assert score.tokens == sum(batch.weights_BT.sum() for batch in batches)
    assert score.nats_per_token == pytest.approx(np.log(26), rel=0.1)
    assert (score.bytes, score.bits_per_byte, score.word_perplexity) == (0, None, None)
    assert score.nats_of == "span_corruption"


@pytest.mark.parametrize(
    ("fields", "message"),
    [(dict(noise_density=1.0), "less than 1"), (dict(mean_span=0.5), "at least 1")],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        make(**fields)


def test_too_few_sentinels_and_overlapping_windows_are_refused():
    data = SimpleNamespace(length=30, source_tokenizer="")
    with pytest.raises(UserError, match=r"need 2 sentinels.* has 1; set data.special_tokens"):
        make(SENTINELS[:1]).check(data, None)
    overlapping = ContextPolicy("windowed", window=10, stride=5)
    with pytest.raises(UserError, match="windows that do not overlap"):
        next(make().evaluation_batches(STREAM, overlapping, 1))
