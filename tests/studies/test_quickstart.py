"""The quickstart is a fair study before its first step."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmjax.errors import UserError
from lmjax.objectives import contract
from lmjax.studies import matching, measures
from lmjax.studies.measures import Measures
from lmjax.studies.study import load_study
from lmjax.studies.tuning import planned_trials

FILE = Path(__file__).parent.parent.parent / "experiments" / "quickstart.py"


@pytest.mark.parametrize("argument", ["", "seeds_3", "smoke"])
def test_six_arms_match_without_further_ado(argument, monkeypatch):
    tokenizer = SimpleNamespace(vocabulary_size=1024, end_id=None)
    dataset = SimpleNamespace(tokenizer=tokenizer, splits={"train": None})
    monkeypatch.setattr(measures, "open_dataset", lambda data: dataset)

    def make_batching(stream, data, seed):
        tokens = data.batch_size * data.length
        return SimpleNamespace(steps_per_epoch=830, tokens_per_step=tokens)

    monkeypatch.setattr(contract, "make_batching", make_batching)
    study = load_study(f"{FILE}:{argument}")
    assert len(study.arms) == 6
    assert set(study.matched) == {"parameters", "training_tokens"}
    matched = matching.match_study(study)
    sizes = {
        arm.name: Measures().of(arm, "parameters")
        for arm in matched.arms
        if not measures.is_counted(arm)
    }
    target = sizes[study.baseline]
    assert all(abs(size - target) <= 0.01 * target for size in sizes.values())


def test_every_trained_arm_is_tuned_alike_and_variants_differ_in_seeds_alone():
    study, other = (load_study(f"{FILE}:{argument}") for argument in ("", "seeds_3"))
    trials = [
        set(planned_trials(arm, study.tuning)) for arm in study.arms if not measures.is_counted(arm)
    ]
    assert trials == [trials[0]] * 5 and len(trials[0]) == 9
    assert (study.seeds, other.seeds) == ((0, 1, 2), (3, 4, 5))
    same = {name: getattr(study, name) for name in ("name", "seeds", "reference")}
    assert replace(other, **same) == study


def test_an_unknown_variant_names_the_known_one():
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        load_study(f"{FILE}:smok")
