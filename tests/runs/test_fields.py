import json

import pytest
from ml_collections import ConfigDict

from lmjax.config import base_config, choose
from lmjax.errors import UserError
from lmjax.model_defaults import MODELS
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
from lmjax.runs.ranges import beyond_training, check_ranges, without_effect

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


def test_fields_of_a_backbone_are_those_of_its_family(tmp_path):
    config = base_config("classifier")
    choose(config, "model.backbone", "rnn")
    config.model.backbone.forget_bias = config.model.lowest = -1.0
    check_values(config)
    path = tmp_path / "config.json"
    path.write_text(to_json(config.to_dict()))
    assert read_config(path) == config and read_config(path).is_locked
    fields = config.to_dict()
    del fields["model"]["backbone"]["cell_options"]  # which older runs lack
    path.write_text(to_json(fields))
    assert read_config(path) == config
    del fields["model"]["backbone"]["width"]
    path.write_text(to_json(fields))
    with pytest.raises(UserError, match="'model.backbone.width' should be: integer, not None"):
        read_config(path)
    for field, value, message in (
        ("width", 0, "model.backbone.width is 0; it is at least 1"),
        ("dropout", 1.0, "model.backbone.dropout is 1.0; it is at least 0 and below 1"),
        ("initialization", -0.1, "model.backbone.initialization is -0.1; it cannot be negative"),
    ):
        wrong = config.copy_and_resolve_references()
        wrong.model.backbone[field] = value
        with pytest.raises(UserError, match=message):
            check_values(wrong)


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
        (
            "training.learning_rate",
            -1e-3,
            "training.learning_rate is -0.001; it cannot be negative",
        ),
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


def test_a_bias_may_be_negative():
    config = base_config("rnn")
    config.model.forget_bias = -1.0
    check_values(config)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", -1, "seed is -1; it is from 0 to 4294967295"),
        ("seed", 2**32, "seed is 4294967296"),
        ("seed", 99999999999999999999, "seed is 99999999999999999999; it is from 0"),
        ("model.heads", 0, "model.heads is 0; it is at least 1"),
        ("model.layers", 0, "model.layers is 0; it is at least 1"),
        ("model.dropout", 1.5, "model.dropout is 1.5; it is at least 0 and below 1"),
        ("training.beta1", 1.5, "training.beta1 is 1.5; it is at least 0 and below 1"),
        ("training.beta2", 1.0, "training.beta2 is 1.0"),
        ("training.momentum", 1.5, "training.momentum is 1.5"),
        ("training.epsilon", 0.0, "training.epsilon is 0.0; it is above 0"),
        ("training.accumulation_steps", 0, "training.accumulation_steps is 0"),
        ("data.batch_size", 0, "data.batch_size is 0; it is at least 1"),
        ("evaluation.rows", 0, "evaluation.rows is 0"),
    ],
)
def test_numbers_out_of_range_are_named(name, value, message):
    config = base_config("transformer")
    config.update_from_flattened_dict({name: value})
    with pytest.raises(UserError, match=message):
        check_values(config)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_range_of_seeds_has_ends(seed):
    config = base_config("rnn")
    config.seed = seed
    check_values(config)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data.cleaning", None, "'data.cleaning' should be: list, not None; give such a value"),
        ("data.cleaning", (1,), "what is in data.cleaning' should be: text, not 1"),
        ("model.width", "8", "'model.width' should be: integer, not '8'"),
        ("training.warmup", 5, "'training.warmup' should be: text, not 5"),
        ("training.clip_norm", True, "'training.clip_norm' should be: number, not True"),
    ],
)
def test_values_of_another_type_are_named(name, value, message):
    fields = base_config("rnn").to_dict()
    section, _, field = name.partition(".")
    fields[section][field] = value
    with pytest.raises(UserError, match=message):
        check_values(ConfigDict(fields))


@pytest.mark.parametrize("model", MODELS)
def test_a_default_configuration_has_no_field_without_effect(model):
    assert without_effect(base_config(model)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.momentum": 0.9}, "training.momentum is 0.9, which has no effect while"),
        ({"training.optimizer": "sgd", "training.beta1": 0.8}, "training.beta1 is 0.8"),
        ({"training.decay_after": "3 epochs"}, "while training.schedule is 'cosine'"),
        ({"evaluation.stride": 4}, "evaluation.stride is 4"),
        (
            {"evaluation.context": "windowed", "evaluation.overlap": 4},
            "evaluation.overlap is 4, which has no effect while evaluation.context is 'windowed'",
        ),
        (
            {"execution.mode": "pmap", "execution.rules": ("vocab=fsdp",)},
            "which has no effect while execution.mode is 'pmap'",
        ),
        ({"data.vocabulary_size": 100}, "while data.tokenizer is 'byte'"),
    ],
)
def test_fields_without_effect_are_named(changes, message):
    config = base_config("rnn")
    config.update_from_flattened_dict(changes)
    (line,) = without_effect(config)
    assert message in line


@pytest.mark.parametrize("batching", ["windows", "random_windows", "packed", "documents"])
def test_lengths_vary_in_a_stream_alone(batching):
    config = base_config("rnn")
    config.data.length_deviation = 5.0
    check_ranges(config)
    config.data.batching = batching
    with pytest.raises(UserError, match=f"length_deviation is 5.0, .*{batching}.*'stream'"):
        check_ranges(config)


def test_a_counted_model_is_told_of_its_fields_of_training_in_one_sentence():
    config = base_config("ngram")
    assert without_effect(config, is_counted=True) == []
    config.training.update(learning_rate=0.5, momentum=0.9)
    (line,) = without_effect(config, is_counted=True)
    assert line.startswith("training.learning_rate, training.momentum: without effect")


def test_a_state_that_is_carried_beyond_that_of_training_is_told():
    config = base_config("rnn")
    assert beyond_training(config, is_counted=False) == []
    config.data.batching = "windows"
    (line,) = beyond_training(config, is_counted=False)
    assert "no state beyond data.length 128" in line
    assert beyond_training(config, is_counted=True) == []
    config.evaluation.context = "windowed"
    assert beyond_training(config, is_counted=False) == []


def test_fields_with_an_effect_are_not():
    config = base_config("rnn")
    config.training.update(optimizer="sgd", momentum=0.9, schedule="epoch_decay", decay_factor=0.1)
    config.evaluation.update(context="windowed", stride=3, window=9)
    assert without_effect(config) == []
