"""Classifiers of different backbones are made equally large by the width of these."""

import json

import pytest

from lmjax.config import base_config, choose
from lmjax.studies.matching import match_study
from lmjax.studies.measures import Measures
from lmjax.studies.study import Arm, Study


def arm(name, files, backbone, **fields):
    config = base_config("classifier")
    choose(config, "model.backbone", backbone)
    config.model.backbone.update(layers=1, width=128, **fields)
    config.data.update(corpus="parallel", files=files, source_tokenizer="word", batch_size=4)
    config.training.duration = "20 steps"
    sizes = {"multiple_of": 4, "fine_field": "model.backbone.feed_forward_width"}
    solving = sizes if "heads" in fields else {}
    return Arm(name, config, size_field="model.backbone.width", **solving)


@pytest.mark.parametrize("quantity", ["parameters", "training_flops"])
def test_widths_of_backbones_are_solved_for(tmp_path, quantity):
    rows = [{"source": f"{number} is here", "target": str(number % 2)} for number in range(200)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = str(tmp_path / "pairs.jsonl")
    study = Study(
        name="backbones",
        question="Are they equal?",
        arms=(
            arm("LSTM", files, "rnn", cell="lstm"),
            arm("GRU", files, "rnn", cell="gru"),
            arm("BERT", files, "bert", heads=4),
        ),
        baseline="LSTM",
        matched=(quantity, "training_tokens"),
        target=150_000 if quantity == "parameters" else None,
    )
    measures = Measures()
    solved = match_study(study, measures).arms
    found = [measures.of(arm, quantity) for arm in solved]
    assert found == pytest.approx([study.target or found[0]] * 3, rel=0.01)
    if quantity == "parameters":
        assert len({arm.config.model.backbone.width for arm in solved}) == 3
