"""The verdict on a study, from what its runs have scored."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lmjax.studies.records import ArmRecord, StudyRecord
from lmjax.studies.statistics import ArmScores, SegmentBits, Verdict, verdict


def study_verdict(study: StudyRecord) -> Verdict:
    """Whether an arm has won on the test split; on validation if no run has a test score.

    Nobody wins if scores are of different kinds or texts, and while a run that was asked for has
    failed, is damaged or is not finished, or lacks a score of the test split that others have.
    """
    finished = [run for arm in study.arms for run in arm.finished]
    if not finished:
        return Verdict(None, None, "No arm is finished.")
    if not study.is_of_one_kind:
        kinds = "; ".join(f"{arm.name}: {', '.join(arm.nats_of)}" for arm in study.arms)
        return Verdict(
            None,
            None,
            "No verdict is drawn: the arms' nats are of different kinds, whose targets are "
            f"predicted from other things, so that they say nothing of each other ({kinds}).",
        )
    is_tested = any("test" in run.results["splits"] for run in finished)
    split = "test" if is_tested else "validation"
    for obstacle, arms in (
        ("a run of {} is damaged", [arm for arm in study.arms if arm.damaged]),
        ("a run of {} has failed", [arm for arm in study.arms if arm.failures]),
        ("choices of {} are unfinished", [arm for arm in study.arms if arm.unfinished_choices]),
        ("{} has no score of the test split, which others have", _without(study, split)),
    ):
        if arms:
            names = ", ".join(arm.name for arm in arms)
            return Verdict(None, None, f"No verdict is drawn while {obstacle.format(names)}.")
    scores = [score for arm in study.arms for score in arm.scores(split).values()]
    if len({score["text_fingerprint"] for score in scores}) > 1:
        return Verdict(None, None, "No verdict is drawn: the arms were scored on different texts.")
    arms = {arm.name: arm_scores(arm, split) for arm in study.arms}
    begun = {run.seed for arm in study.arms if not arm.is_counted for run in arm.runs}
    found = verdict(arms, f"{split} bits per byte", begun.union(study.seeds))
    why = "" if is_tested else " Judged by validation: no run has a score of a test split."
    return replace(found, text=found.text + why)


def _without(study: StudyRecord, split: str) -> list[ArmRecord]:
    """The arms of which a finished run was not scored on a split."""
    return [
        arm for arm in study.arms if any(split not in run.results["splits"] for run in arm.finished)
    ]


def arm_scores(arm: ArmRecord, split: str) -> ArmScores:
    """What an arm's runs have scored on a split, as statistics take it."""
    scores = arm.scores(split)
    return ArmScores(
        {seed: score["bits_per_byte"] for seed, score in scores.items()},
        _mean_segments(list(scores.values())),
        arm.is_counted,
    )


def _mean_segments(scores: list[Mapping[str, Any]]) -> SegmentBits | None:
    """The bits of each segment in the mean over scores, what spells unknowns included."""
    tables = [score.get("segments") for score in scores]
    if not tables or None in tables or any(t["bytes"] != tables[0]["bytes"] for t in tables):
        return None
    nats_G = np.mean([np.add(t["nats"], t.get("spelling_nats", 0.0)) for t in tables], axis=0)
    return SegmentBits(nats_G / np.log(2), np.array(tables[0]["bytes"], float))
