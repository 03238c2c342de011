"""Generated tasks: exact by solutions written from their definitions, and drawn as they say."""

import numpy as np
import pytest

from lmjax.data.synthetic.chomsky import ChomskyTask
from lmjax.data.synthetic.registry import TASKS, make_task
from lmjax.errors import UserError
from tests.data import solutions

ROWS = 40
SHORT = {  # task: options with which rows are short
    "mqar": dict(vocabulary=64),
    "selective_copying": dict(copied=5),
    "induction": dict(symbols=4),
    "in_context_ngram": dict(symbols=4),
    "dyck": dict(depth=3),
}


class Data(dict):
    """`config.data` as far as a task is made of it."""

    __getattr__ = dict.__getitem__


def made(name, length=40, **options):
    return make_task(Data(task=name, task_options=options, length=length))


HIERARCHY = [name for name in TASKS if isinstance(made(name), ChomskyTask)]


def drawn(task, length, rows=ROWS, seed=0):
    return task.draw(np.random.default_rng(seed), rows, length)


def answers_of(examples, row):
    """By the place at which they count."""
    places = np.flatnonzero(examples.counts_BT[row])
    return dict(zip(places.tolist(), examples.targets_BT[row, places].tolist(), strict=True))


def test_the_hierarchy_has_its_fifteen_tasks():
    assert len(HIERARCHY) == 15


@pytest.mark.parametrize("name", SHORT)
def test_answers_are_those_of_a_solution_by_definition(name):
    task = made(name, **SHORT[name])
    examples = drawn(task, 40)
    for row, tokens in enumerate(examples.tokens_BT.tolist()):
        beside = (task.order,) if name == "in_context_ngram" else ()
        assert answers_of(examples, row) == getattr(solutions, name)(tokens, *beside)


def test_pairs_may_be_nearly_all_that_a_vocabulary_allows():
    """Where one row in e^64 has no key twice, if they are drawn independently."""
    task = made("mqar", 1024, vocabulary=1028, pairs=256)
    tokens_BT = drawn(task, 1024, rows=4).tokens_BT
    keys_BN, values_BN = tokens_BT[:, 0:512:2], tokens_BT[:, 1:512:2]
    assert all(len(set(row)) == 256 for row in (*keys_BN.tolist(), *values_BN.tolist()))
    assert keys_BN.min() >= 1 and keys_BN.max() < 514 <= values_BN.min()


def test_languages_of_longer_contexts():
    task = made("in_context_ngram", symbols=3, order=3, successors=2)
    examples = drawn(task, 60)
    assert examples.counts_BT.sum() > ROWS * 20
    for row, tokens in enumerate(examples.tokens_BT.tolist()):
        assert answers_of(examples, row) == solutions.in_context_ngram(tokens, 3)


@pytest.mark.parametrize("name", HIERARCHY)
def test_the_hierarchy_is_answered_as_by_a_solution(name):
    """At all short lengths and a long one: after the input a blank for each symbol told."""
    task = made(name)
    for length in [*task.train_lengths(14).tolist(), task.test_lengths(40)[-1].item()]:
        examples = drawn(task, length)
        assert examples.tokens_BT.shape == (ROWS, task.row_length(length))
        assert (examples.tokens_BT[:, :length] < task.inputs).all()
        assert (examples.tokens_BT[:, length:] == task.inputs).all()
        for row, tokens in enumerate(examples.tokens_BT.tolist()):
            expected = getattr(solutions, name)(tokens[:length])
            found = answers_of(examples, row)
            assert found == dict(enumerate(expected, start=length))


@pytest.mark.parametrize("name", HIERARCHY)
def test_no_symbol_is_nearly_all_that_is_to_be_told(name):
    task = made(name)
    answers_N = drawn(task, task.test_lengths(40)[0].item(), rows=400).answers_N
    assert np.bincount(answers_N).max() < 0.8 * len(answers_N)


@pytest.mark.parametrize("name", HIERARCHY)
def test_tests_are_longer_than_training(name):
    task = made(name)
    train, test = task.train_lengths(40), task.test_lengths(40)
    assert max(train) <= 40 < 41 <= min(test) and max(test) <= 500
    assert min(test) <= 42 and max(test) >= 499


def test_keys_and_values_of_a_row_all_differ():
    task = made("mqar", 64)
    tokens_BT = drawn(task, 64, rows=500).tokens_BT
    pairs_BN = np.sort(tokens_BT[:, :8], axis=1)
    assert (np.diff(pairs_BN, axis=1) > 0).all()
    assert (tokens_BT[:, :8:2] > 0).all() and (tokens_BT[:, :8:2] < 4096).all()
    assert (tokens_BT[:, 1:8:2] >= 4096).all() and (tokens_BT[:, 1:8:2] < 8192).all()
    asked_BT = tokens_BT[:, 8:]
    assert (np.sort(asked_BT, axis=1)[:, -4:] == np.sort(tokens_BT[:, :8:2], axis=1)).all()
    assert (asked_BT[:, 1::2] == 0).all()


@pytest.mark.parametrize("power", [0.01, 1.0])
def test_gaps_follow_the_power_law(power):
    """The place of the first key is drawn from the law itself, as no other was drawn before it."""
    task, rows = made("mqar", 64, power=power), 20_000
    tokens_BT = drawn(task, 64, rows).tokens_BT
    found_B = (tokens_BT[:, 8::2] == tokens_BT[:, :1]).argmax(axis=1)
    weights_N = np.arange(1, 29) ** (power - 1)
    expected_N = rows * weights_N / weights_N.sum()
    statistic = ((np.bincount(found_B, minlength=28) - expected_N) ** 2 / expected_N).sum()
    assert statistic < 56  # chi-squared of 27 degrees of freedom: p = 0.001


def test_symbols_to_be_copied_stand_anywhere():
    task = made("selective_copying", copied=5)
    tokens_BT = drawn(task, 40, rows=2000).tokens_BT
    share_T = (tokens_BT[:, :40] > 1).mean(axis=0)
    np.testing.assert_allclose(share_T, 5 / 40, atol=0.04)


def test_brackets_are_balanced_and_not_deeper_than_allowed():
    tokens_BT = drawn(made("dyck", depth=3), 40, rows=500).tokens_BT
    depths_BT = np.where(tokens_BT > 0, 1, -1).cumsum(axis=1)
    assert depths_BT.min() == 0 and depths_BT.max() == 3 and (depths_BT[:, -1] == 0).all()


def test_contexts_have_as_many_successors_as_asked_for():
    tokens_BT = drawn(made("in_context_ngram", 400, symbols=5, successors=2), 400).tokens_BT
    for tokens in tokens_BT.tolist():
        followers = {}
        for context, symbol in zip(tokens, tokens[1:], strict=False):
            followers.setdefault(context, set()).add(symbol)
        assert max(map(len, followers.values())) <= 2


def test_examples_of_two_seeds_are_not_the_same():
    one, other = (drawn(made("mqar", 64), 64, 1000, seed).tokens_BT for seed in (0, 1))
    assert len(np.unique(np.concatenate([one, other]), axis=0)) == 2000


@pytest.mark.parametrize(
    ("name", "length", "options", "message"),
    [
        ("mqra", 64, {}, "unknown data.task 'mqra': did you mean 'mqar'"),
        ("mqar", 64, {"pair": 3}, "task 'mqar' has no option 'pair': did you mean 'pairs'"),
        ("mqar", 64, {"pairs": 2.5}, "option 'pairs' of task 'mqar' is 2.5; give a value of type"),
        ("mqar", 64, {"power": float("nan")}, "'power' of task 'mqar' is nan; give a number"),
        ("induction", 40, {"symbols": 10**12}, "has 1,000,000,000,001 symbols; give at most"),
        ("mqar", 8, {}, "data.length is 8, and 4 pairs"),
        ("mqar", 64, {"vocabulary": 12}, "vocabulary is 12, too small for 4 pairs"),
        ("dyck", 7, {}, "data.length is 7; brackets in pairs are an even number"),
        ("selective_copying", 9, {}, "shorter than the 16 symbols"),
        ("in_context_ngram", 40, {"order": 9}, "fewer than 1,048,576 n-grams"),
        ("parity_check", 41, {}, "tests are of longer inputs than the training"),
        ("solve_equation", 2, {}, "inputs have at least 3 symbols"),
    ],
)
def test_what_can_not_be_is_refused(name, length, options, message):
    with pytest.raises(UserError, match=message):
        made(name, length, **options)
