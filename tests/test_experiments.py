"""Every experiment file resolves, in full and in short, to a configuration that can be built."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.errors import UserError
from lmjax.models.registry import build_model
from lmjax.studies.study import flatten, load_study
from lmjax.training.durations import Clock
from lmjax.training.optimizers import make_optimizer
from lmjax.training.schedules import hyperparameters_of, make_schedule

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
STUDIES = {EXPERIMENTS / "quickstart.py", *EXPERIMENTS.glob("ablations/*.py")}
STUDIES -= {EXPERIMENTS / "ablations" / "base.py"}  # which is an experiment, too
FILES = sorted(
    path
    for path in set(EXPERIMENTS.rglob("*.py")) - STUDIES
    if "def get_config" in path.read_text()  # else it is what files beside it share
)


def load(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def variants(path):
    """Every argument that a file takes: its variants, and each of them in short."""
    names = ["", *getattr(load(path), "VARIANTS", ["smoke"])]
    return dict.fromkeys([*names, *(f"{name},smoke".strip(",") for name in names)])


@pytest.mark.parametrize(
    ("path", "argument"),
    [(path, argument) for path in FILES for argument in variants(path)],
    ids=lambda value: getattr(value, "stem", value),
)
def test_it_resolves(path, argument):
    config = load(path).get_config(argument)
    assert config.is_locked
    given = dict(end_id=0, special_id={"class": 1, "separator": 2}.get)
    tokenizer = SimpleNamespace(vocabulary_size=50, **given)
    apart = config.data.source_tokenizer
    targets = {"number": NumberTokenizer(), "span": SpanTokenizer.of_rows(49)}
    tokenizer.target = targets.get(config.data.tokenizer, tokenizer)
    tokenizer.source = SimpleNamespace(vocabulary_size=60, **given) if apart else tokenizer
    model = build_model(config.model, tokenizer)
    clock = Clock(100, config.data.batch_size * config.data.length)
    clock = clock.with_total(config.training.duration)
    make_optimizer(config.training, {})
    numbers = hyperparameters_of(config.training, clock)
    rate = make_schedule(config.training, clock)(jax.numpy.int32(0), numbers)
    assert np.isfinite(rate)
    if argument.endswith("smoke") and not model.is_counted:
        assert clock.total_steps <= 200


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_docstring_is_a_row_of_a_paper(path):
    text = load(path).__doc__
    command = f"lmjax train --config=experiments/{path.relative_to(EXPERIMENTS)}"
    assert command in " ".join(text.split())


@pytest.mark.parametrize(
    ("argument", "arms", "seeds"),
    [
        ("mqar.py", 12, 3),
        ("mqar.py:smoke", 12, 1),
        ("chomsky.py", 7, 3),
        ("chomsky.py:even_pairs,smoke", 7, 1),
        ("chomsky.py:few,even_pairs", 4, 3),
    ],
)
def test_studies_of_tasks_resolve(argument, arms, seeds):
    study = load_study(f"{EXPERIMENTS}/synthetic/{argument}")
    assert len(study.arms) == arms and len(study.seeds) == seeds
    assert {arm.config.data.task for arm in study.arms} <= {"mqar", "parity_check", "even_pairs"}
    assert ("even_pairs" in argument) == (study.arms[0].config.data.task == "even_pairs")


@pytest.mark.parametrize(
    ("argument", "arms", "seeds"),
    [
        ("studies.py", 1, 3),
        ("augmentation.py", 7, 3),
        ("augmentation.py:few,smoke", 4, 1),
        ("class_balance.py", 4, 3),
        ("class_balance.py:smoke", 4, 1),
        ("cross_validation.py", 5, 15),
        ("cross_validation.py:once", 5, 5),
        ("cross_validation.py:smoke", 5, 5),
        ("learning_curve.py", 20, 3),
        ("learning_curve.py:smoke", 20, 1),
        ("families.py", 5, 3),
        ("families.py:sst2,pretrained", 6, 3),
        ("families.py:names,smoke", 5, 1),
        ("blimp.py", 4, 1),
    ],
)
def test_studies_of_tasks_on_real_data_resolve(argument, arms, seeds):
    name, _, variants = argument.partition(":")
    study = load_study(f"{EXPERIMENTS}/tasks/{argument}")
    assert len(study.arms) == arms and len(study.seeds) == seeds
    corpus = variants.partition(",")[0] if name == "families.py" and variants else "trec"
    (found,) = {arm.config.data.corpus for arm in study.arms}
    assert found == ("wikitext2" if name == "blimp.py" else corpus)
    text = " ".join(load(EXPERIMENTS / "tasks" / name).__doc__.split())
    assert f"lmjax study --study=experiments/tasks/{name}" in text
    assert f"Question {study.question}" in text
    with pytest.raises(UserError, match="no variant 'smoek': did you mean 'smoke'"):
        load_study(f"{EXPERIMENTS}/tasks/{name}:smoek")


def test_a_study_of_families_is_of_one_task():
    with pytest.raises(UserError, match="one task, not of trec and sst2; give one"):
        load_study(f"{EXPERIMENTS}/tasks/families.py:trec,sst2,smoke")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_unknown_variant_is_named(path):
    with pytest.raises(UserError, match="no variant 'smoek': did you mean 'smoke'"):
        load(path).get_config("smoek")


def test_what_reads_texts_apart_has_no_head_of_a_family_whichever_is_named_first():
    get_config = load(EXPERIMENTS / "tasks" / "stsb.py").get_config
    config = get_config("cosine,minilm")
    assert config.model.dropout == 0 and not config.training.initial_new
    assert config.to_dict() == get_config("minilm,cosine").to_dict()


def test_each_regulariser_of_awd_lstm_is_left_out_by_an_arm():
    whole, *others = load_study(f"{EXPERIMENTS}/ptb/awd_lstm.py:smoke").arms
    changed = [
        [
            name
            for name, value in flatten(arm.config).items()
            if flatten(whole.config)[name] != value
        ]
        for arm in others
    ]
    assert [names[0] for names in changed] == [
        "model.weight_dropout",
        "model.locked",
        "model.embedding_dropout",
        "model.activation_penalty",
        "training.averaging",
        "data.length_deviation",
    ]
    with pytest.raises(UserError, match="there is smoke alone"):
        load_study(f"{EXPERIMENTS}/ptb/awd_lstm.py:small")
