"""Each task opens, is of a kind, and what was published of it is of a metric that it has."""

import pytest

from lmjax.config import base_config, objective_config
from lmjax.data.corpora import CORPORA
from lmjax.errors import UserError
from lmjax.objective_defaults import OBJECTIVES
from lmjax.tasks.registry import KINDS, OF_OBJECTIVE, TASKS, find_kind, find_task, kind_of


def test_each_task_is_of_a_corpus_and_of_a_kind():
    data = base_config().data
    for name, task in TASKS.items():
        assert task.name == name and task.kind in KINDS and task.corpus in CORPORA
        assert set(task.fields) <= set(data) and task.languages and task.description
        for published in task.published:
            assert published.who and published.source and published.metric


def test_each_objective_and_its_kinds_are_known():
    assert set(OF_OBJECTIVE) <= set(OBJECTIVES)
    assert {kind for kinds in OF_OBJECTIVE.values() for kind in kinds} <= set(KINDS)


def test_the_kind_of_a_run_follows_from_its_objective():
    config = base_config("classifier")
    for corpus in ("sst2", "parallel"):
        config.data.corpus = corpus
        assert kind_of(config).name == "classification"
    config.objective = objective_config("causal")
    assert kind_of(config) is None or not kind_of(config).after_training


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(UserError, match="unknown task 'trek'.*'trec'"):
        find_task("trek")
    with pytest.raises(UserError, match="unknown kind of tasks 'clasification'"):
        find_kind("clasification")
    for name in KINDS:
        assert find_kind(name).name == name
