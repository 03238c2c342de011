"""Wherever a run is stopped, it goes on as if it had not been, for every family."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from lmjax.checkpoints.store import Checkpoints
from lmjax.checks.resume_proof import differing, outcome_at, verify_resume
from lmjax.config import OF_PAIRS, base_config, objective_config
from lmjax.data.dataset import open_dataset
from lmjax.data.pairs import split_by_source
from lmjax.errors import UserError
from lmjax.model_defaults import sections_of
from lmjax.models.registry import FAMILIES, build_model, model_class
from lmjax.runs.run_directory import RunDirectory
from lmjax.training import loop
from lmjax.training.position import Position
from lmjax.training.program import plan_training
from tests.properties.variants import SMALL

TRAINED = [family for family in FAMILIES if not model_class(family).is_counted]
EPOCH, END = 10, 24
WARM, EVALUATED = 4, 6
STOPS = (1, WARM - 1, WARM, 5, EVALUATED, EVALUATED + 1, EPOCH - 1, EPOCH, EPOCH + 1, 2 * EPOCH)


@pytest.fixture
def config_of(tmp_path):
    generator = np.random.default_rng(0)
    lines = ["".join(generator.choice(list("abcde "), 15)) for _ in range(100)]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    pairs = [f"{first}\n{second}\n" for first, second in zip(lines[::2], lines[1::2], strict=True)]
    (tmp_path / "documents.jsonl").write_text(
        "".join(json.dumps({"text": t}) + "\n" for t in pairs)
    )

    both = [(f"{i}_{line[7:]}x", f"x{line[:7]}x") for i, line in enumerate(lines)]
    train, *others = split_by_source(both).values()
    kept = train[: 4 * EPOCH] + sum(others, [])
    (tmp_path / "pairs.tsv").write_text("".join(f"{pair.source}\t{pair.text}\n" for pair in kept))
    labels = (f"{pair.source}\t{'xy'[i % 2]}\n" for i, pair in enumerate(kept))
    (tmp_path / "labels.tsv").write_text("".join(labels))
    asked = [
        {
            "context": pair.source,
            "qas": [
                {
                    "id": str(i),
                    "question": "a?",
                    "answers": [{"text": pair.source[:2].strip(), "answer_start": 0}],
                }
            ],
        }
        for i, pair in enumerate(kept)
    ]
    articles = [{"title": f"{i}", "paragraphs": [each]} for i, each in enumerate(asked)]
    (tmp_path / "questions.json").write_text(json.dumps({"data": articles}))

    def make(family, **changes):
        config = base_config(family)
        objective = changes.pop("objective", config.objective.name)
        config.objective = objective_config(objective)
        if objective in ("prefix", "seq2seq"):
            config.update_from_flattened_dict(OF_PAIRS | {"objective.name": objective})
            config.data.update(corpus="parallel", files=str(tmp_path / "pairs.tsv"))
        elif objective == "classification":
            config.data.update(corpus="parallel", files=str(tmp_path / "labels.tsv"))
            config.data.source_tokenizer = "byte"
        elif objective == "span":
            config.data.update(corpus="questions", files=str(tmp_path / "questions.json"))
            config.data.update(source_tokenizer="byte", source_overlap=8)
        else:
            many = changes.get("data__resets") == "documents"
            file = tmp_path / ("documents.jsonl" if many else "text.txt")
            config.data.update(corpus="text", files=str(file), tokenizer="byte")
        config.data.batch_size = 4
        config.data.length = 36  # 1,440 bytes in 4 rows: ten steps an epoch
        config.data.source_length = 36
        for section in sections_of(config.model).values():
            section.update(SMALL[section.name])
            if "dropout" in section:
                section.dropout = 0.1
            if "context_length" in section:
                section.context_length = 72 if objective == "prefix" else 40
        config.training.update(
            duration=f"{END} steps", accumulation_steps=2, warmup=f"{WARM} steps", clip_norm=1.0
        )
        config.evaluation.every = f"{EVALUATED} steps"
        config.checkpoint.every = "9 steps"
        config.logging.every = "2 steps"
        for name, value in changes.items():
            config[name.split("__")[0]][name.split("__")[1]] = value
        return config

    return make


def make_plan(config):
    dataset = open_dataset(config.data)
    return plan_training(config, dataset, build_model(config.model, dataset.tokenizer))


CASES = [
    *((family, {}) for family in TRAINED),
    ("rnn", dict(training__schedule="plateau", training__optimizer="sgd")),
    ("rnn", dict(training__schedule="epoch_decay", training__decay_after="1 epochs")),
    (
        "rnn",
        dict(data__length_deviation=5.0, training__averaging="triggered"),
    ),
    ("transformer", dict(data__batching="packed")),
    (
        "transformer",
        dict(
            objective="prefix",
            training__frozen=("embedding/*",),
            training__layer_decay=0.5,
            training__schedule="linear",
        ),
    ),
    ("rnn", dict(execution__mode="pmap")),
    ("rnn", dict(execution__mode="pmap", data__resets="documents")),
]


@pytest.mark.parametrize("family, changes", CASES)
def test_stopped_at_every_kind_of_step(family, changes, config_of, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "triggers", lambda before, now, patience: len(before) == 1)
    plan = make_plan(config_of(family, **changes))
    assert plan.clock.steps_per_epoch == EPOCH
    straight = outcome_at(tmp_path / "straight", plan, END)
    other_threads = make_plan(config_of(family, **changes, data__read_threads=3))
    for number, stop in enumerate(STOPS):
        outcome_at(tmp_path / "stopped", (plan, other_threads)[number % 2], stop)
    stopped = outcome_at(tmp_path / "stopped", plan, END)
    assert any(name.startswith("carry/") for name in straight) == (
        plan.config.data.batching == "stream"
    )
    if plan.config.training.averaging == "triggered":
        assert straight["position: averaged_since"] == 2 * EVALUATED
    assert len(straight) > 50 and straight["step"] == END
    assert differing(straight, stopped) == []


def test_verify_resume_proves_it_and_sees_a_fault(config_of, monkeypatch):
    config = config_of("rnn")
    assert verify_resume(config, Console(file=io.StringIO()), steps=3) == []
    restore = Checkpoints.restore

    def forgetful(self, step, like):
        return restore(self, step, like).replace(learning_rate_scale=np.float32(0.99))

    monkeypatch.setattr(Checkpoints, "restore", forgetful)
    found = verify_resume(config, Console(file=io.StringIO()), steps=3)
    assert any("params/" in line for line in found)


def test_a_counted_model_has_no_step_to_verify(config_of):
    counted = base_config("ngram")
    counted.data.update(config_of("rnn").data)
    with pytest.raises(UserError, match="counted in one go"):
        verify_resume(counted, Console(file=io.StringIO()))


def test_the_chain_of_examples_tells_their_order_and_content(config_of):
    plan = make_plan(config_of("rnn"))
    batches = [next(plan.batches())]
    iterator = plan.batches()
    batches = [next(iterator) for _ in range(3)]

    def chain(batches):
        position = Position()
        for batch in batches:
            position.follow_examples(batch)
        return position.examples

    changed = batches[0].replace(targets_BT=batches[0].targets_BT + 1)
    chains = [
        chain(batches),
        chain(batches[::-1]),
        chain(batches[:2]),
        chain([changed, *batches[1:]]),
        chain([batches[0], *batches]),
    ]
    assert len(set(chains)) == len(chains)
    assert chain(batches) == chains[0]


def test_checkpoints_of_another_configuration_are_refused(config_of, tmp_path):
    outcome_at(tmp_path / "one", make_plan(config_of("rnn")), 2)
    other = config_of("rnn", data__batch_size=8)
    RunDirectory(tmp_path / "other").create(other)
    (tmp_path / "other" / "checkpoints").rmdir()
    (tmp_path / "one" / "checkpoints").rename(tmp_path / "other" / "checkpoints")
    with pytest.raises(UserError, match="data.batch_size: 4 there, 8 here"):
        outcome_at(tmp_path / "other", make_plan(other), 4)


def test_another_number_of_devices_is_close(config_of, tmp_path):
    """One device and two give losses that differ by rounding only, from the same examples."""
    two = outcome_at(tmp_path / "two", make_plan(config_of("rnn", model__dropout=0.0)), 8)
    one = config_of("rnn", model__dropout=0.0, data__batch_size=4, training__accumulation_steps=4)
    one = outcome_at(tmp_path / "one", make_plan(one), 8)
    assert one["position: examples"] == two["position: examples"]
    losses = [name for name in two if name.endswith("loss")]
    assert len(losses) == 4
    np.testing.assert_allclose(
        [one[name] for name in losses], [two[name] for name in losses], rtol=1e-5
    )
