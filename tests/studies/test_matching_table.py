"""Families are solved for within a study's tolerance, and operations are those that XLA counts."""

import jax
import jax.numpy as jnp
import pytest

from lmjax.checks.xla_flops import xla_flops
from lmjax.studies.matching_table import (
    FAMILIES,
    count_operations,
    family_study,
    operation_cases,
    solve,
    solved_table,
)

CASES = dict(operation_cases())


@pytest.fixture
def data(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 1000)
    return {"corpus": "text", "files": str(tmp_path / "text.txt"), "length": 8}


def test_twelve_families_have_equal_parameters(data):
    solved = solve(family_study(("parameters",), 1e6, data, list(FAMILIES)))
    assert len(solved) == 12
    for family in solved:
        assert abs(family.distances["parameters"]) <= 0.01
        assert family.figures["parameters"] == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize(
    ("matched", "target"),
    [(("parameters", "training_flops"), 2e5), (("training_flops", "training_tokens"), None)],
)
def test_families_of_different_kinds_have_equal_operations(data, matched, target):
    study = family_study(matched, target, data, ["LSTM", "LSTM, general attention", "Transformer"])
    for family in solve(study):
        assert all(abs(distance) <= 0.01 for distance in family.distances.values())
    table = solved_table(study).splitlines()
    assert len(table) == 5 and all(line.count("|") == table[0].count("|") for line in table)


# One of each kind; the page has all of them.
SMALLER = {
    "Elman": {},
    "LSTM, general attention": {},
    "Transformer": {"layers": 1},
    "Mamba": {"layers": 1},
    "Mamba, as narrow as it is solved for": {"layers": 1},
    "GRU and attention in layers": {"layers": 2},
    "Sequence to sequence": {},
    "Encoder-decoder": {"layers": 1},
    "BERT": {"layers": 1},
    "Classifier": {"backbone": {"layers": 1}},
    "Word vectors, skip-gram": {},
}


@pytest.mark.parametrize("name", SMALLER)
def test_operations_are_those_that_xla_counts(name):
    config = CASES[name]
    config.model.update(SMALLER[name])
    ours, xla = count_operations(config)
    assert xla == pytest.approx(ours.counted + ours.elementwise, rel=0.015)


def test_xla_counts_loops_as_often_as_they_run_and_no_loop_without_an_end():
    def loop(w_DD, x_BD):
        return jax.lax.scan(lambda x_BD, _: (x_BD @ w_DD, None), x_BD, None, length=7)[0]

    w_DD, x_BD = jnp.ones((16, 16)), jnp.ones((3, 16))
    assert xla_flops(loop, w_DD, x_BD) == 7 * 2 * 3 * 16 * 16

    def endless(w_DD):
        return jax.lax.while_loop(lambda w_DD: w_DD.sum() < 9, lambda w_DD: w_DD @ w_DD, w_DD)

    with pytest.raises(ValueError, match="a loop is left"):
        xla_flops(endless, w_DD)
