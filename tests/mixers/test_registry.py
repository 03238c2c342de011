"""Mixers by name, with options that are looked at before anything is built."""

from dataclasses import fields
from pathlib import Path

import pytest

from lmjax.errors import UserError
from lmjax.mixers.recurrent_layer import CELLS
from lmjax.mixers.registry import MIXERS, mixer_class, mixer_maker
from lmjax.nn.options import PLAIN

GIVEN = dict(width=6, initializer=None, heads=2)


def test_a_mixer_gets_its_options_and_of_what_is_given_the_fields_that_it_has():
    mixer = mixer_maker("recurrent", {"cell": "gru", "forget_bias": 0}, GIVEN)()
    assert (mixer.width, mixer.cell, mixer.forget_bias) == (6, "gru", 0)
    given = GIVEN | dict(bias=False, dropout=0.0, output_initializer=None)
    assert mixer_maker("attention", {"heads": 3}, given)().heads == 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("recurent", {}, "unknown mixer 'recurent' in model.pattern: did you mean 'recurrent'"),
        ("recurrent", {"cel": "gru"}, "no option 'cel': did you mean 'cell'"),
        ("recurrent", {"width": 3}, "no option 'width'"),
        ("recurrent", {"initializer": 3}, "no option 'initializer'"),
        ("recurrent", {"cell": 3}, "'cell' of mixer 'recurrent' is 3; give a value of type str"),
        ("recurrent", {"forget_bias": True}, "give a value of type float"),
        ("recurrent", {"cell": "lstn"}, "did you mean 'lstm'"),
        ("attention", {"heads": 4}, "no value for 'bias'"),
        ("attention", {"score_cap": float("nan")}, "'score_cap' .* is nan; give a number"),
        ("qrnn", {"input_width": 3}, "no option 'input_width'"),
    ],
)
def test_what_it_cannot_be_made_of_is_named(name, options, message):
    with pytest.raises(UserError, match=message):
        mixer_maker(name, options, GIVEN)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("attention", {"dropout": 1.0}, "dropout of a mixer is 1.0"),
        ("mamba", {"rank": -1}, "rank of mamba is -1"),
        ("mlstm_large", {}, "key_width 0 of mlstm_large is not a multiple"),
    ],
)
def test_values_that_a_mixer_can_not_have_are_named(name, options, message):
    given = GIVEN | dict(width=1, heads=1, bias=False, dropout=0.0, output_initializer=None)
    with pytest.raises(UserError, match=message):
        mixer_maker(name, options, given)


PAGE = Path(__file__).parents[2] / "docs" / "mixers.md"
OF_MODELS = {"width", "input_width", "heads", "bias", "dropout", "position", "forget_bias"}
OF_MODELS |= {"layer", "layers", "context_length", "form", "parent", "name"}


def test_every_mixer_is_on_its_page():
    page = PAGE.read_text(encoding="utf-8")
    assert not [name for name in [*MIXERS, *CELLS] if f"`{name}`" not in page]


@pytest.mark.parametrize("name", MIXERS)
def test_its_options_are_on_the_page_with_their_defaults(name):
    options = [
        f"`{field.name}={field.default}`"
        for field in fields(mixer_class(name))
        if field.type in PLAIN and field.name not in OF_MODELS
    ]
    row = f"| `{name}` | {', '.join(options) or '-'} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines(), f"write into {PAGE}: {row}"
