"""A plan counts what will be trained, and names the arm that can't be."""

import re
from dataclasses import replace

import pytest
from rich.console import Console

from lmjax.errors import UserError
from lmjax.studies.matching import match_study
from lmjax.studies.plan import plan_study
from lmjax.studies.plan_text import plan_text
from lmjax.studies.study import Arm, Tuning
from tests.studies.fake_runs import make_config, make_study, write_run


@pytest.fixture
def files(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 100)
    return str(tmp_path / "text.txt")


def config(files, model="rnn", **fields):
    config = make_config(model, **fields)
    config.data.update(corpus="text", files=files, batch_size=2, length=8)
    config.training.duration = "10 steps"
    return config


def study(files, both_width=8, **fields):
    counted = Arm("n-gram", config(files, "ngram"), choices={"model.order": (2, 3)})
    small = {"cell": "elman", "width": both_width, "layers": 1}
    arms = (counted, Arm("A", config(files, **small)), Arm("B", config(files, **small | fields)))
    tuning = Tuning({"training.learning_rate": (0.1, 0.2, 0.3)}, "20 percent")
    return make_study(arms=arms, baseline="A", seeds=(1, 2), tuning=tuning)


def test_trials_runs_and_tokens_are_those_that_will_be(files):
    counted, *trained = plan_study(study(files))
    assert (counted.cost, counted.trials, counted.runs) == (None, 0, 2)
    assert counted.run_tokens == pytest.approx(0.9 * 1900, rel=0.02)
    for plan in trained:
        assert plan.cost.parameters == 256 * 8 + 8 * 8 + 8 * 8 + 8 + 8 * 256 + 256
        assert (plan.trials, plan.trials_tokens) == (3, 3 * 2 * 16)
        assert (plan.runs, plan.run_tokens) == (2, 10 * 16)
        assert plan.tokens == 3 * 32 + 2 * 160


def shown(study, plans=None, speed=1e9):
    console = Console(width=150)
    with console.capture() as capture:
        console.print(plan_text(study, plans or plan_study(study), speed))
    return capture.get()


def rows(text, name):
    """The cells of an arm, or of the sum, in each table that has it."""
    return [line.split()[1:] for line in text.splitlines() if line.strip().startswith(name + " ")]


def test_the_plan_is_shown_with_its_sums_seeds_and_grid(files):
    text = shown(study(files))
    assert "seeds: 1, 2" in text
    assert "3 trials of 20 percent each, seed 0: training.learning_rate 0.1, 0.2, 0.3" in text
    assert rows(text, "together")[0][:2] == ["6", "6"]


def test_sizes_operations_and_how_near_they_match_are_those_of_the_arms(files):
    whole = match_study(study(files, both_width=64, cell="gru"))
    plans = plan_study(whole)
    text, plan = shown(whole, plans), plans[1]
    sizes, work = rows(text, "A")
    inner = 2 * 64 * 64 + 64
    total = inner + 2 * 256 * 64 + 256  # of which each has an axis `vocab`
    assert sizes[:4] == [f"{total:,}", f"{inner:,}", f"{total:,}", f"{4 * 64 + 8}"]
    flops = 3 * 2 * (2 * 64 * 64 + 256 * 64)  # forward, and twice that backward
    assert plan.cost.training_flops_per_token == flops
    flops += plan.cost.training_elementwise_per_token
    assert sizes[4] == "151k" and "element by element" not in text
    assert work[:4] == ["160", f"{160 * flops:.3g}", "3", "2"]
    assert plan.flops == (3 * 32 + 2 * 160) * flops
    near = plans[2].cost.parameters / total - 1
    assert 0 < abs(near) < 0.01
    assert f"parameters matched to A's 41.3k: B {near:+.2%}" in text.replace("\n", " ")
    assert "training tokens matched to A's 160: all equal" in text
    assert f"B: width {whole.arms[2].config.model.width}" in text


def test_with_a_target_the_distance_of_the_baseline_is_told_too(files):
    free = study(files, both_width=64)
    targeted = replace(free, target=90_000)
    text = shown(match_study(targeted)).replace("\n", " ")
    assert re.search(r"parameters matched to the target 90k: A [+-]0\.\d\d%, B [+-]0\.\d\d%", text)


def test_time_is_that_of_products_or_of_finished_runs(files, tmp_path):
    whole = study(files)
    _, first, second = plan_study(whole)
    assert first.seconds(1e3) == first.flops / 1e3
    folder = tmp_path / "study" / "arms" / "a"
    write_run(whole.arms[1].config, folder / "seed_1", seconds=15.0)  # 3,000 tokens
    write_run(whole.arms[1].config, folder / "seed_2", seconds=45.0)
    counted, first, second = plan_study(whole, tmp_path / "study")
    assert first.seconds(1e3) == pytest.approx(first.tokens / (6000 / 60))
    assert second.tokens_per_second is None and counted.seconds(1e3) is None
    assert "from the tokens/s of the arm's finished runs" in shown(whole, [counted, first, second])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cell": "elmann"}, "arm 'B' can't run: unknown model.cell 'elmann'"),
        ({"dropout": 1.5}, "arm 'B' can't run: model.dropout is 1.5"),
        ({"width": 0}, "arm 'B' can't run: .*width"),
    ],
)
def test_an_arm_that_cannot_run_is_named(files, fields, message):
    with pytest.raises(UserError, match=message):
        plan_study(study(files, **fields))


def test_trials_too_short_for_the_warm_up_are_refused_although_runs_are_not(files):
    warming = study(files)
    for arm in warming.arms[1:]:
        arm.config.training.warmup = "3 steps"  # of 10, and trials of 2
    message = "arm 'A' can't run: its trials, of 2 steps, can't: training.warmup '3 steps' is 3"
    with pytest.raises(UserError, match=message):
        plan_study(warming)
    plan_study(replace(warming, tuning=replace(warming.tuning, budget="30 percent")))


@pytest.mark.parametrize("damage", ['{"training": {"tokens": 3000}}', "{}", "[", '{"training": 1}'])
def test_damaged_results_leave_the_plan_as_it_is(files, tmp_path, damage):
    whole, folder = study(files), tmp_path / "study" / "arms" / "a"
    for seed in (1, 2):
        write_run(whole.arms[1].config, folder / f"seed_{seed}", seconds=15.0)
    (folder / "seed_2" / "results.json").write_text(damage)
    assert plan_study(whole, tmp_path / "study")[1].tokens_per_second == 200


def test_an_arm_that_predicts_no_text_is_refused(files):
    words = config(files, "word_vectors", width=4)
    words.data.tokenizer = "word"
    vectors = make_study(arms=(Arm("A", words), Arm("B", words)), baseline="A")
    with pytest.raises(UserError, match="'A' predicts no text .skip_gram_negative_sampling"):
        plan_study(vectors)
