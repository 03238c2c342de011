"""Splits and batches of generated tasks: seeded apart, each answer scored once, none lost."""

import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.data.context import ContextPolicy
from lmjax.data.dataset import open_dataset
from lmjax.data.synthetic.examples import example_batches
from lmjax.data.training_batches import make_batching
from lmjax.errors import UserError

DOCUMENTS = ContextPolicy("documents")


def make_data(task="mqar", length=16, **changes):
    data = base_config("rnn").data
    data.update(corpus="synthetic", task=task, tokenizer="ids", batching="examples", length=length)
    data.update(batch_size=4, **changes)
    if task == "mqar":
        data.task_options.update(vocabulary=512, pairs=3, evaluation_examples=10)
    else:
        data.task_options.update(test_shortest=length + 1, test_longest=20, evaluation_examples=30)
    return data


def batching_of(data, seed=0):
    return make_batching(open_dataset(data).splits["train"], data, seed)


def rows_of(batching, steps):
    return [tuple(row) for step in steps for row in batching.batch(step).tokens_BT.tolist()]


def test_a_batch_is_a_function_of_seed_and_step():
    data = make_data()
    ahead, again = batching_of(data), batching_of(data)
    assert rows_of(ahead, [7, 3]) == rows_of(again, [7]) + rows_of(again, [3])
    assert not {*rows_of(ahead, range(5))} & {*rows_of(batching_of(data, seed=1), range(5))}


def test_nothing_is_seen_again_unless_there_are_so_many_examples():
    rows = rows_of(batching_of(make_data()), range(100))
    assert len({*rows}) == 400
    few = batching_of(make_data(examples=20))
    epochs = [rows_of(few, range(5 * epoch, 5 * epoch + 5)) for epoch in range(3)]
    assert len({*epochs[0]}) == 20 == few.steps_per_epoch * 4
    assert {*epochs[0]} == {*epochs[1]} == {*epochs[2]}
    assert not epochs[0] == epochs[1] == epochs[2]


def test_splits_are_always_the_same_and_have_nothing_in_common():
    found = {}
    for split, stream in open_dataset(make_data()).splits.items():
        found[split] = {tuple(row) for row in stream.examples_G[0].tokens_BT.tolist()}
    assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(found, 10)
    trained = {*rows_of(batching_of(make_data()), range(300))}
    assert len(trained.union(*found.values())) == 1200 + 30


def test_fingerprints_tell_tasks_options_and_splits_apart():
    datas = [make_data(), make_data(length=18), make_data("parity_check", 8)]
    datas.append(make_data())
    datas[-1].task_options.power = 0.5
    streams = [stream for data in datas for stream in open_dataset(data).splits.values()]
    assert len({stream.fingerprint for stream in streams}) == 12


@pytest.mark.parametrize("task", ["mqar", "parity_check", "stack_manipulation", "binary_addition"])
@pytest.mark.parametrize("batch_size", [3, 64])
def test_each_answer_is_scored_once_in_its_place(task, batch_size):
    stream = open_dataset(make_data(task, 16 if task == "mqar" else 8)).splits["test"]
    scored_N = np.zeros(len(stream.tokens_N), int)
    for batch, places_BT in example_batches(stream, DOCUMENTS, batch_size):
        assert batch.tokens_BT.shape == places_BT.shape == (batch_size, places_BT.shape[1])
        counts_BT = batch.weights_BT > 0
        np.add.at(scored_N, places_BT[counts_BT], 1)
        assert (stream.tokens_N[places_BT[counts_BT]] == batch.targets_BT[counts_BT]).all()
        if batch.places_BP is not None:
            at_places = np.take_along_axis(batch.weights_BT, batch.places_BP, axis=1)
            assert at_places.sum() == batch.weights_BT.sum()
    assert (scored_N == 1).all()
    of_lengths = stream.segments.tokens_G(len(stream.tokens_N))
    expected = [examples.counts_BT.sum() for examples in stream.examples_G]
    assert of_lengths.tolist() == expected


def test_rows_of_a_batch_are_of_one_length_and_all_lengths_come():
    batching = batching_of(make_data("parity_check", 8))
    lengths, widths = set(), set()
    for step in range(100):
        batch = batching.batch(step)
        (length,) = {*batch.weights_BT.argmax(axis=1).tolist()}
        lengths.add(length)
        widths.add(batch.tokens_BT.shape[1])
    assert lengths == {*range(1, 9)} and widths == {8, 9}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "byte"}, "data.tokenizer 'ids' and data.batching 'examples', not 'byte'"),
        ({"batching": "stream"}, "data.batching 'examples', not 'ids' and 'stream'"),
        ({"train_share": 0.5}, "data.train_share is for texts"),
        ({"task": "mqra"}, "did you mean 'mqar'"),
    ],
)
def test_fields_that_are_for_texts_are_refused(changes, message):
    data = make_data()
    data.update(changes)
    with pytest.raises(UserError, match=message):
        open_dataset(data)


def test_examples_are_read_alone_and_whole():
    stream = open_dataset(make_data()).splits["test"]
    for policy, message in (
        (ContextPolicy("carried"), "examples are read alone"),
        (ContextPolicy("documents", longest=15), "takes in 15 at most"),
    ):
        with pytest.raises(UserError, match=message):
            next(example_batches(stream, policy, 4))
