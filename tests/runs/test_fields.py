import json

import pytest
from ml_collections import ConfigDict

from lmjax.config import MODELS, base_config
from lmjax.errors import UserError
from lmjax.runs.fields import (
    check_fields,
    check_values,
    is_count,
    is_integer,
    is_number,
    is_positive_number,
    is_text,
    is_true_or_false,
    read_config,
)
from lmjax.runs.files import to_json

VALUES = (True, 0, 1, -1, 1.5, float("nan"), float("inf"), 10**400, "text", None, [], {})


@pytest.mark.parametrize(
    ("predicate", "accepted"),
    [
        (is_text, ["text"]),
        (is_true_or_false, [True]),
        (is_number, [0, 1, -1, 1.5]),
        (is_positive_number, [1, 1.5]),
        (is_integer, [0, 1, -1]),
        (is_count, [0, 1]),
    ],
)
def test_predicates(predicate, accepted):
    assert [repr(value) for value in VALUES if predicate(value)] == list(map(repr, accepted))


EXPECTED = {"a": is_text, "b": {"c": [is_count]}, "d": {...: is_count}}


def test_what_is_as_expected_may_have_more():
    check_fields({"a": "", "b": {"c": []}, "d": {}, "more": None}, EXPECTED, "file")
    check_fields({"a": "", "b": {"c": [1, 2]}, "d": {"x": 1, "y": 2}}, EXPECTED, "file")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "file: all of it should be: object, not 3"),
        ({}, "file: 'a' should be: text, not None"),
        ({"a": 1}, "'a' should be: text, not 1"),
        ({"a": "", "b": []}, r"'b' should be: object, not \[\]"),
        ({"a": "", "b": {"c": {}}}, r"'b.c' should be: list, not {}"),
        ({"a": "", "b": {"c": [1, -1]}}, "what is in b.c' should be: count, not -1"),
        ({"a": "", "b": {"c": []}, "d": {"x": 1, "y": "2"}}, "'d.y' should be: count, not '2'"),
        ({"a": ["x" * 10**6] * 10}, "'a' should be: text, not .{,300}; restore the file"),
    ],
)
def test_what_is_not_is_named(value, message):
    with pytest.raises(UserError, match=message):
        check_fields(value, EXPECTED, "file")


@pytest.mark.parametrize("model", MODELS)
def test_a_configuration_comes_back(model, tmp_path):
    config = base_config(model)
    config.data.cleaning = ("nfc", "whitespace")
    check_values(config)
    path = tmp_path / "config.json"
    path.write_text(to_json(config.to_dict()))
    assert read_config(path) == config and read_config(path).is_locked


def test_how_it_was_trained_may_be_told_in_other_fields(tmp_path):
    path = tmp_path / "config.json"
    fields = json.loads(to_json(base_config("rnn").to_dict()))
    del fields["training"]["learning_rate"]
    path.write_text(json.dumps(fields))
    assert read_config(path).model.name == "rnn"
    del fields["data"]["length"]
    path.write_text(json.dumps(fields))
    with pytest.raises(UserError, match="config.json: 'data.length' should be: integer, not None"):
        read_config(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("training.learning_rate", float("nan"), "training.learning_rate is nan; give a finite"),
        ("training.learning_rate", float("inf"), "training.learning_rate is inf"),
        ("training.learning_rate", -1e-3, "training.learning_rate is -0.001; give zero or more"),
        ("model.width", -1, "model.width is -1"),
        ("data.batch_size", 10**400, "data.batch_size is 1000"),
        ("data.files", "a\0b", "data.files has a NUL"),
        ("data.cleaning", ("nfc", "a\0"), "data.cleaning has a NUL"),
    ],
)
def test_values_that_cannot_be_are_named(name, value, message):
    config = base_config("rnn")
    config.update_from_flattened_dict({name: value})
    with pytest.raises(UserError, match=message):
        check_values(config)


def test_a_seed_and_a_bias_may_be_negative():
    check_values(ConfigDict({"seed": -1, "model": {"forget_bias": -1.0, "tied": False}}))
