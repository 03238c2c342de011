"""A search asks for the same trials when it is told the same, and for no more than is its share."""

import builtins
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.errors import UserError
from lmjax.studies.search import KINDS, Search
from lmjax.studies.spaces import LogUniform, Uniform, draw, space_text, space_to_json
from lmjax.studies.study import SEARCHES, Tuning

RATE, DECAY, CLIP = "training.learning_rate", "training.weight_decay", "training.clip_norm"
SPACE = {RATE: LogUniform(1e-4, 1e-1), DECAY: Uniform(0.1, 0.2), CLIP: (0.5, 1.0, 5.0)}
CHOICES = {RATE: (1e-3, 1e-2), CLIP: (0.5, 1.0, 5.0)}


def loss(fields):
    return (math.log10(fields[RATE]) + 2) ** 2 + fields[CLIP]


def conduct(tuning, score=loss):
    """All rounds of a search."""
    search, rounds = Search(tuning), []
    while asked := search.ask():
        assert search.ask() is asked, "asking twice is asking once"
        rounds.append(asked)
        search.tell([score(one.fields) for one in asked])
    return rounds


def tuning_of(kind, **fields):
    if kind == "grid":
        return Tuning(CHOICES, **fields)
    return Tuning(SPACE, "1 percent", search=kind, **{"trials": 13} | fields)


def test_every_kind_can_be_named():
    assert set(KINDS) == set(SEARCHES)


@pytest.mark.parametrize("kind", SEARCHES)
def test_what_it_asks_for_is_a_function_of_its_seed_and_of_what_it_was_told(kind):
    if kind == "optuna":
        pytest.importorskip("optuna")
    rounds = conduct(tuning_of(kind, seed=3))
    assert conduct(tuning_of(kind, seed=3)) == rounds
    if kind != "grid":
        assert conduct(tuning_of(kind, seed=4)) != rounds
        first = [one.fields for one in rounds[0]]
        assert len({fields[RATE] for fields in first}) == len(first)
        for fields in first:
            assert 1e-4 <= fields[RATE] <= 1e-1 and 0.1 <= fields[DECAY] <= 0.2
            assert fields[CLIP] in SPACE[CLIP]
    if kind in ("successive_halving", "optuna"):
        worst_first = conduct(tuning_of(kind, seed=3), lambda fields: -loss(fields))
        assert worst_first[0] == rounds[0] and worst_first[1:] != rounds[1:]


def test_a_grid_is_every_combination_once():
    (asked,) = conduct(tuning_of("grid"))
    assert [tuple(one.fields.values()) for one in asked] == [
        (rate, clip) for rate in CHOICES[RATE] for clip in CHOICES[CLIP]
    ]


def test_more_random_trials_add_to_fewer_and_fill_the_ranges_evenly():
    few, many = draw(SPACE, 10, seed=1), draw(SPACE, 2000, seed=1)
    assert many[:10] == few
    below = [point[RATE] < 10**-2.5 for point in many]
    assert 0.46 < sum(below) / 2000 < 0.54, "half of the logarithms"
    assert 0.46 < sum(point[DECAY] < 0.15 for point in many) / 2000 < 0.54
    assert 0.3 < sum(point[CLIP] == 1.0 for point in many) / 2000 < 0.37


@given(
    trials=st.integers(4, 60),
    factor=st.integers(2, 5),
    seed=st.integers(-5, 5),
    diverging=st.sets(st.integers(0, 59)),
)
def test_successive_halving_lets_the_best_go_on_to_factor_times_the_budget(
    trials, factor, seed, diverging
):
    if factor > trials // 2:
        with pytest.raises(UserError, match="nothing to choose among"):
            tuning_of("successive_halving", trials=trials, factor=factor)
        return
    tuning = Tuning(
        {RATE: LogUniform(1e-9, 1.0)},
        "1 steps",
        search="successive_halving",
        trials=trials,
        factor=factor,
        seed=seed,
    )
    search = Search(tuning)
    diverged = {search.ask()[place].fields[RATE] for place in diverging if place < trials}
    asked, times, count = search.ask(), 1, trials
    while asked:
        assert {one.times for one in asked} == {times}
        scores = [None if one.fields[RATE] in diverged else one.fields[RATE] for one in asked]
        search.tell(scores)
        count //= factor
        best = sorted(score for score in scores if score is not None)[:count]
        asked, times = search.ask(), times * factor
        assert [one.fields[RATE] for one in asked] == (best if len(best) > 1 else [])
    if not diverged:
        assert times == tuning.most_times * factor and count < 2


def test_optuna_finds_more_than_chance_and_takes_a_trial_that_diverged_for_a_bad_one():
    pytest.importorskip("optuna")

    def score(fields):
        return None if fields[RATE] > 0.01 else -fields[RATE]

    rounds = conduct(Tuning({RATE: Uniform(0.0, 0.1)}, search="optuna", trials=40), score)
    assert [len(asked) for asked in rounds] == [10] + [1] * 30
    later = [asked[0].fields[RATE] for asked in rounds[1:]]
    assert sum(rate < 0.02 for rate in later) > 15, "by chance one of five"


def test_without_optuna_the_user_is_told_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"pip install 'lmjax\[optuna\]'"):
        Search(tuning_of("optuna"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"search": "gird"}, "no search 'gird'.*grid"),
        ({"equal": "flop"}, "no equal 'flop'.*flops"),
        ({"space": SPACE}, "no range as of training.learning_rate"),
        ({"trials": 3}, "as many trials as points"),
        ({"search": "random"}, "has 0 trials; set trials"),
        (
            {"search": "successive_halving", "trials": 30, "budget": "20 percent"},
            "9 times its budget of '20 percent'",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Tuning(**fields)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_a_range_that_is_none_is_refused(ends):
    with pytest.raises(UserError, match="low < high"):
        Uniform(*ends)
    with pytest.raises(UserError, match="more than 0"):
        LogUniform(0.0, 1.0)


def test_a_space_reads_as_words():
    assert space_text(space_to_json(SPACE)) == (
        "training.learning_rate 0.0001 to 0.1 (of logarithms); training.weight_decay 0.1 to 0.2; "
        "training.clip_norm 0.5, 1.0, 5.0"
    )
