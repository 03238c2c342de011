"""Differential attention: what a layer's number is for, and who tells it."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.differential_attention import lambda_at_start, subtract
from tests.properties.variants import build

FIELDS = dict(layers=3, width=8, heads=2, context_length=8, pattern=("differential_attention",))
tokens_BT = np.array([[1, 2, 3, 4]])


def test_lambda_begins_as_in_the_paper():
    """Section 2.1, whose layers are counted from 1."""
    expected = [0.8 - 0.6 * np.exp(-0.3 * (number - 1)) for number in (1, 2, 12)]
    np.testing.assert_allclose([lambda_at_start(layer) for layer in (0, 1, 11)], expected)
    assert lambda_at_start(0) == pytest.approx(0.2) and lambda_at_start(-1) == 0.8


def test_the_second_map_is_taken_away_from_the_first():
    y_BTHK = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    found_BTHK = subtract(y_BTHK, np.float32(0.3))
    np.testing.assert_allclose(found_BTHK, y_BTHK[:, :, :2] - 0.3 * y_BTHK[:, :, 2:], rtol=1e-5)


def numbers_of_layers(**changes):
    """Of a model's mixers, as they are called."""
    model, found = build("transformer", FIELDS | changes), []

    def note(call, arguments, keywords, context):
        if type(context.module).__name__ == "DifferentialAttention":
            found.append(context.module.layer)
        return call(*arguments, **keywords)

    with nn.intercept_methods(note):
        jax.eval_shape(model.init, jax.random.key(0), tokens_BT)
    return found


@pytest.mark.parametrize("remat", ["none", "block"])
def test_unrolled_layers_are_told_their_numbers(remat):
    assert set(numbers_of_layers(remat=remat)) == {0, 1, 2}


def test_scanned_layers_are_all_alike():
    assert set(numbers_of_layers(scan_layers=True)) == {-1}


@pytest.mark.parametrize("options", [dict(layer=3), dict(key_value_heads=1)], ids=str)
def test_what_cannot_be_is_named(options):
    with pytest.raises(UserError, match="no option 'layer'|key_value_heads of differential_att"):
        build("transformer", FIELDS | dict(mixers={"differential_attention": options}))
