"""What is said of a study from what its runs have scored: which arm wins, how each compares."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lmjax.studies.comparisons import Comparison, compare_with
from lmjax.studies.fairness import breaches
from lmjax.studies.folds import by_fold
from lmjax.studies.losses import loss_of, segment_losses
from lmjax.studies.records import ArmRecord, RunRecord, StudyRecord
from lmjax.studies.statistics import ArmScores, SegmentBits, Verdict, missing_results, verdict


def study_verdict(study: StudyRecord) -> Verdict:
    """Whether an arm has won on the test split; on validation if no run has a test score.

    Nobody wins if scores are of different kinds or texts, if the comparison is unfair, and while a
    run that was asked for has failed, is damaged or is not finished, or lacks a score of the test
    split that others have.
    """
    if not _finished(study):
        return Verdict(None, None, "No arm is finished.")
    if study.scaling:
        return Verdict(None, None, "Which arm wins is not the question: see how the loss scales.")
    if why := _incomparable(study) or _unfinished(study) or _unfair(study):
        return Verdict(None, None, f"No verdict is drawn{why}.")
    split = judged_split(study)
    arms = {arm.name: arm_scores(arm, split) for arm in study.arms}
    found = verdict(arms, f"{split} {study.loss}", _seeds(study))
    why = "" if split == "test" else " Judged by validation: no run has a score of a test split."
    return replace(found, text=found.text + why)


def study_comparisons(study: StudyRecord) -> list[Comparison]:
    """Each arm beside the baseline, on the split that the verdict is drawn on.

    None where there is no baseline with a score, scores are not comparable, or the question is how
    the loss scales; nothing is judged
    while no verdict can be drawn.
    """
    arms = {arm.name: arm_scores(arm, judged_split(study)) for arm in study.arms}
    if (
        study.scaling
        or study.baseline not in arms
        or not arms[study.baseline].by_seed
        or _incomparable(study)
    ):
        return []
    is_complete = (
        not _unfair(study) and not _unfinished(study) and not missing_results(arms, _seeds(study))
    )
    return compare_with(study.baseline, arms, is_complete)


def judged_split(study: StudyRecord) -> str:
    """The test split if any run was scored on it."""
    is_tested = any("test" in run.results["splits"] for run in _finished(study))
    return "test" if is_tested else "validation"


def _finished(study: StudyRecord) -> list[RunRecord]:
    return [run for arm in study.arms for run in arm.finished]


def _seeds(study: StudyRecord) -> list[int]:
    """Those that were asked for, and those that were begun; where there are folds, these."""
    if folds := max((arm.folds for arm in study.arms), default=0):
        return list(range(folds))
    begun = {run.seed for arm in study.arms if not arm.is_counted for run in arm.runs}
    return sorted(begun.union(study.seeds))


def _incomparable(study: StudyRecord) -> str:
    """Why the arms' scores say nothing of each other; empty if they do."""
    if not study.is_of_one_kind:
        kinds = "; ".join(f"{arm.name}: {', '.join(arm.nats_of)}" for arm in study.arms)
        return (
            ": the arms' nats are of different kinds, whose targets are predicted from other "
            f"things, so that they say nothing of each other ({kinds})"
        )
    for part in by_fold(study):
        scores = [score for arm in part.arms for score in arm.scores(judged_split(study)).values()]
        if len({score["text_fingerprint"] for score in scores}) > 1:
            return ": the arms were scored on different texts"
    return ""


def _unfair(study: StudyRecord) -> str:
    found = breaches(study)
    return f": {'; '.join(found)}" if found else ""


def _unfinished(study: StudyRecord) -> str:
    """What is still to come; empty if nothing is."""
    for obstacle, arms in (
        ("a run of {} is damaged", [arm for arm in study.arms if arm.damaged]),
        ("a run of {} has failed", [arm for arm in study.arms if arm.failures]),
        ("choices of {} are unfinished", [arm for arm in study.arms if arm.unfinished_choices]),
        (
            "{} has no score of the test split, which others have",
            _without(study, judged_split(study)),
        ),
    ):
        if arms:
            return f" while {obstacle.format(', '.join(arm.name for arm in arms))}"
    return ""


def _without(study: StudyRecord, split: str) -> list[ArmRecord]:
    """The arms of which a finished run was not scored on a split."""
    return [
        arm for arm in study.arms if any(split not in run.results["splits"] for run in arm.finished)
    ]


def arm_scores(arm: ArmRecord, split: str) -> ArmScores:
    """What an arm's runs have scored on a split, as statistics take it."""
    scores = arm.scores(split)
    if arm.folds:
        return _over_folds(arm, scores)
    return ArmScores(
        {seed: loss_of(score) for seed, score in scores.items()},
        _segments(list(scores.values())),
        arm.is_counted,
    )


def _over_folds(arm: ArmRecord, scores: Mapping[int, Mapping[str, Any]]) -> ArmScores:
    """The mean over the seeds of each fold that has all of them; a counted arm's is of one run."""
    seeds = {}
    for run in arm.runs:
        seeds.setdefault(run.fold, []).append(run.seed)
    by_fold = {
        fold: float(np.mean([loss_of(scores[seed]) for seed in of_fold]))
        for fold, of_fold in sorted(seeds.items())
        if scores.keys() >= set(of_fold)
    }
    is_one_text = len({score["text_fingerprint"] for score in scores.values()}) == 1
    segments = _segments(list(scores.values())) if is_one_text else None
    return ArmScores(by_fold, segments, folds=arm.folds)


def _segments(scores: list[Mapping[str, Any]]) -> SegmentBits | None:
    """The losses of each segment by score; of a text alone, and one that all scores are of."""
    found = [segment_losses(score) for score in scores]
    if not found or None in found:
        return None
    losses, sizes = zip(*found, strict=True)
    if any(not np.array_equal(sizes_G, sizes[0]) for sizes_G in sizes):
        return None
    return SegmentBits(np.stack(losses), sizes[0])
