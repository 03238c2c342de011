"""A trained model that is read with a longer memory than in training."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

import lmjax
from lmjax.cli.evaluate import main as evaluate
from lmjax.cli.main import main
from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory

MEMORY = "mixers.transformer_xl.memory"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Of a Transformer-XL on a text in which each line comes twice."""
    folder = tmp_path_factory.mktemp("memory")
    lines = np.random.default_rng(0).choice(list("abcdefgh"), (60, 15))
    text = "".join(2 * ("".join(line) + "\n") for line in lines)
    (folder / "text.txt").write_text(text)
    config = lmjax.base_config("transformer")
    config.data.update(corpus="text", files=str(folder / "text.txt"), batching="stream")
    config.data.update(batch_size=2, length=16)
    config.model.update(layers=1, width=8, heads=2, position="none", pattern=("transformer_xl",))
    config.model.mixers.transformer_xl = dict(memory=4)
    config.training.update(duration="4 steps", learning_rate=1e-2)
    config.evaluation.update(context="carried", splits=("validation", "test"))
    lmjax.train(config, folder / "run", Console(file=io.StringIO()))
    return folder / "run"


def test_scores_are_those_of_a_model_that_was_built_with_it(workdir):
    trained = lmjax.load(workdir)
    before = RunDirectory(workdir).results()
    same, longer = (trained.with_model({MEMORY: memory}) for memory in (4, 20))
    expected = trained.evaluate()
    assert same.evaluate().total_nats == expected.total_nats
    found = longer.evaluate()
    assert abs(found.total_nats - expected.total_nats) > 1e-3
    assert found.tokens == expected.tokens
    assert longer.model.mixers["transformer_xl"]["memory"] == 20
    assert RunDirectory(workdir).results() == before, "only the trained model's scores are its own"


def test_the_verb_says_what_was_changed_and_logs_it(workdir, capsys):
    before = RunDirectory(workdir).results()
    change = f"--model={MEMORY}=20"
    assert main(["evaluate", f"--workdir={workdir}", "--split=test", change]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["model"] == {MEMORY: 20}
    longer = lmjax.load(workdir).with_model({MEMORY: 20})
    assert printed["total_nats"] == longer.evaluate("test").total_nats
    reads = (workdir / "test_reads.jsonl").read_text().splitlines()
    assert f"with model.{MEMORY}=20" in json.loads(reads[-2])["reader"]
    assert RunDirectory(workdir).results() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixers.transformer_xl.memroy": 3}, "no option 'memroy': did you mean 'memory'"),
        ({"mixers.transformer_xl.memory": 0}, "memory of transformer_xl is 0"),
        ({"width": 16}, "has other parameters than those that were trained"),
        ({"widht": 16}, "no field 'widht': did you mean 'width'|unknown"),
        ({"width.memory": 16}, "'width' is one itself"),
    ],
    ids=str,
)
def test_what_cannot_be_is_named(workdir, changes, message):
    with pytest.raises(UserError, match=message):
        lmjax.load(workdir).with_model(changes)


def test_a_change_that_is_not_written_so_is_named(workdir):
    with pytest.raises(UserError, match="is not written --model=FIELD=VALUE"):
        evaluate([f"--workdir={workdir}", "--model=memory"])
