from types import SimpleNamespace

import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.interop.conventions import Convention, Rule, dense, norm, one, to_ours, to_theirs

DRAW = np.random.default_rng(0)
MODEL = SimpleNamespace(layers=2)
TOY = Convention(
    model_type="toy",
    architectures=("Toy",),
    family="toy",
    prefix="toy.",
    to_model=None,
    to_settings=None,
    rules=lambda model: (
        one("table", "toy.table.weight", same=("head.weight",)),
        *dense("block_{layer}/qkv", *(f"toy.{{layer}}.{name}" for name in "qkv")),
        *norm("norm", "toy.norm", bias=False),
        one("pool", "toy.pool"),
    ),
    counts=lambda model: {"layer": model.layers},
    buffers=r"toy\.ids",
    left_out=r"toy\.extra\..*",
    made_new=("pool",),
)
OURS = {
    "table": (5, 4),
    "block_0/qkv/kernel": (4, 6),
    "block_0/qkv/bias": (6,),
    "block_1/qkv/kernel": (4, 6),
    "block_1/qkv/bias": (6,),
    "norm/scale": (4,),
    "pool": (3,),
}
LIKE = {name: SimpleNamespace(shape=shape) for name, shape in OURS.items()}


@pytest.fixture
def ours():
    return {name: DRAW.normal(size=shape).astype(np.float32) for name, shape in OURS.items()}


@pytest.fixture
def theirs(ours):
    return to_theirs(TOY, MODEL, ours)


def test_there_and_back_is_the_same(ours, theirs):
    found = to_ours(TOY, MODEL, theirs, LIKE)
    assert found.params.keys() == ours.keys() and not found.left_out and not found.made_new
    assert all(np.array_equal(found.params[name], ours[name]) for name in ours)


def test_a_joined_and_transposed_kernel_does_what_theirs_do_one_by_one(ours, theirs):
    x_D = DRAW.normal(size=4)
    joined = x_D @ ours["block_1/qkv/kernel"] + ours["block_1/qkv/bias"]
    single = [theirs[f"toy.1.{n}.weight"] @ x_D + theirs[f"toy.1.{n}.bias"] for n in "qkv"]
    np.testing.assert_allclose(joined, np.concatenate(single), rtol=1e-6)


def test_a_prefix_buffers_and_a_repeated_tensor_change_nothing(ours, theirs):
    bare = {name.removeprefix("toy."): tensor for name, tensor in theirs.items()}
    more = {**theirs, "toy.ids": np.arange(3), "head.weight": theirs["toy.table.weight"]}
    for tensors in (bare, more):
        found = to_ours(TOY, MODEL, tensors, LIKE)
        assert all(np.array_equal(found.params[name], ours[name]) for name in ours)
        assert not found.left_out


def test_what_is_left_out_and_made_new_is_said(theirs):
    del theirs["toy.pool"]
    found = to_ours(TOY, MODEL, {**theirs, "toy.extra.a": np.zeros(2)}, LIKE)
    assert found.left_out == ["toy.extra.a"] and found.made_new == ["pool"]
    assert "pool" not in found.params


def test_sixteen_bits_are_widened(theirs):
    narrow = {name: tensor.astype(np.float16) for name, tensor in theirs.items()}
    found = to_ours(TOY, MODEL, narrow, LIKE).params["table"]
    assert found.dtype == np.float32
    assert np.array_equal(found, narrow["toy.table.weight"].astype(np.float32))


def without(name):
    return lambda tensors: tensors.pop(name)


def put(name, make):
    return lambda tensors: tensors.update({name: make(tensors)})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("toy.1.q.weight"), "missing: toy.1.q.weight"),
        (without("toy.table.weight"), "missing: toy.table.weight"),
        (put("toy.2.q.weight", lambda _: np.zeros(1)), "without a place: toy.2.q.weight"),
        (put("other", lambda _: np.zeros(1)), "without a place: other"),
        (put("toy.0.q.weight", lambda t: t["toy.0.q.weight"].T), r"shape \[4, 2\].* \[2, 4\]"),
        (put("toy.0.q.weight", lambda _: np.zeros(8, np.float32)), "1 dimensions, not 2"),
        (put("toy.pool", lambda _: np.zeros((1, 3), np.float32)), r"shape \[1, 3\]"),
        (put("toy.pool", lambda _: np.array([1, np.nan, 2], np.float32)), "not finite"),
        (put("toy.pool", lambda _: np.zeros(3)), "of float64"),
        (put("head.weight", lambda t: t["toy.table.weight"] + 1), "is another tensor"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(theirs, change, told):
    change(theirs)
    with pytest.raises(UserError, match=told):
        to_ours(TOY, MODEL, theirs, LIKE)


def test_a_model_with_other_parameters_is_not_exported(ours):
    with pytest.raises(UserError, match="parameters without a place: gate; missing: none"):
        to_theirs(TOY, MODEL, {**ours, "gate": np.zeros(1)})
    del ours["norm/scale"]
    with pytest.raises(UserError, match="missing: norm/scale"):
        to_theirs(TOY, MODEL, ours)


def test_only_the_name_in_braces_is_expanded():
    rule = Rule("decoder_{layer}/x", ("d.{layer}.a", "d.{layer}.b"), transposed=True)
    assert [r.theirs for r in rule.expanded({"block": 3, "layer": 2})] == [
        ("d.0.a", "d.0.b"),
        ("d.1.a", "d.1.b"),
    ]
    assert list(Rule("x", ("y",)).expanded({"layer": 2})) == [Rule("x", ("y",))]
