"""Axes are lists, and what is made of them obeys the laws of products, sums and choices."""

import copy
import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.errors import UserError
from lmjax.studies import axes
from lmjax.studies.axes import (
    arms_of,
    chain,
    conditional,
    prefix,
    product,
    subsample,
    sweep,
    zipped,
)
from lmjax.studies.study import flatten
from tests.studies.fake_runs import make_config, make_study


def axis_of(field):
    return st.lists(st.integers(), max_size=5, unique=True).map(lambda values: sweep(field, values))


A, B, C = axis_of("a"), axis_of("b"), axis_of("c")


def test_the_examples_in_the_documentation_hold():
    results = doctest.testmod(axes)
    assert results.attempted > 7 and not results.failed


@given(A, B, C)
def test_a_product_is_associative_and_has_every_combination_once(a, b, c):
    points = product(a, b, c)
    assert points == product(product(a, b), c) == product(a, product(b, c))
    assert len(points) == len(a) * len(b) * len(c) == len({tuple(p.items()) for p in points})
    assert product(a, [{}]) == a and product(a, []) == []


@given(A, A, B)
def test_a_product_distributes_over_a_chain(first, second, b):
    assert product(chain(first, second), b) == chain(product(first, b), product(second, b))
    assert chain(first, []) == chain([], first) == first


@given(A)
def test_points_are_zipped_in_their_order(a):
    b = sweep("b", [2 * point["a"] for point in a])
    assert zipped(a, b) == [{"a": point["a"], "b": 2 * point["a"]} for point in a]
    if len(a) > 1:
        with pytest.raises(UserError, match="can't be zipped; give equally many"):
            zipped(a, b[1:])


@given(A, B)
def test_a_prefix_goes_through_a_product(a, b):
    assert prefix("model", product(a, b)) == product(prefix("model", a), prefix("model", b))


@given(A, st.integers(0, 6), st.integers(0, 99))
def test_a_sample_is_a_part_that_grows_and_is_drawn_by_its_seed_alone(a, count, seed):
    few, more = subsample(a, count, seed), subsample(a, count + 1, seed)
    assert len(few) == min(count, len(a))
    assert few == subsample(a, count, seed) == [point for point in a if point in few]
    assert all(point in more for point in few)


def test_every_point_can_be_drawn():
    a = sweep("a", range(4))
    assert {subsample(a, 1, seed)[0]["a"] for seed in range(50)} == {0, 1, 2, 3}


@given(A, B, st.integers())
def test_a_condition_multiplies_the_points_that_it_holds_for_alone(a, b, value):
    points = conditional(a, {"a": value}, b)
    assert [point for point in points if point["a"] != value] == [
        point for point in a if point["a"] != value
    ]
    held = [point for point in a if point["a"] == value]
    assert [point for point in points if point["a"] == value] == product(held, b)
    assert conditional(a, {}, b) == product(a, b)
    assert conditional(a, {"elsewhere": value}, b) == a


@given(A, B)
def test_what_is_given_stays_as_it_is(a, b):
    before = copy.deepcopy((a, b))
    made = [*product(a, b), *chain(a, b), *subsample(a, 3, 0), *conditional(a, {"a": 0}, b)]
    for point in made:
        point["new"] = 0
    assert (a, b) == before


@pytest.mark.parametrize("join", [product, zipped])
def test_a_field_is_set_once(join):
    with pytest.raises(UserError, match="two axes set a; leave it out of one"):
        join(sweep("a", (1,)), sweep("a", (2,)))


def test_arms_are_named_after_what_differs_from_the_base():
    base = make_config(width=32)
    points = prefix("model", product(sweep("cell", ("lstm", "gru")), sweep("width", (32, 48))))
    arms = arms_of(base, points, multiple_of=8)
    assert [arm.name for arm in arms] == ["base", "width=48", "cell=gru", "cell=gru, width=48"]
    for arm, point in zip(arms, points, strict=True):
        assert flatten(arm.config) == {**flatten(base), **point}
        assert arm.multiple_of == 8
    assert make_study(arms=arms, baseline="base").arms == arms


def test_names_are_whole_where_short_ones_would_be_two_fields():
    points = chain(sweep("data.length", (8,)), sweep("evaluation.every", ("1 epochs",)))
    points = chain(
        points, sweep("checkpoint.every", ("1 epochs",)), sweep("data.cleaning", (("nfc",),))
    )
    assert [arm.name for arm in arms_of(make_config(), points)] == [
        "length=8",
        "evaluation.every=1 epochs",
        "checkpoint.every=1 epochs",
        "cleaning=nfc",
    ]


def test_points_that_can_be_no_arms_are_refused():
    base = make_config()
    with pytest.raises(UserError, match=r"did you mean 'model\.width'"):
        arms_of(base, sweep("model.widht", (3,)))
    with pytest.raises(UserError, match="come to the arm 'base'"):
        arms_of(base, chain([{}], sweep("model.cell", ("lstm",))))
