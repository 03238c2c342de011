"""Cross-validation in a study's record: what is equal within each fold, and what scores it gives.

Every fold is trained on and scored by other texts. So arms are compared fold by fold, and a fold is
what differences vary over, however many seeds it has.
"""

from dataclasses import replace

from lmjax.studies.records import StudyRecord


def by_fold(study: StudyRecord) -> list[StudyRecord]:
    """The study once for each fold, with the runs of that alone; as it is if it has no folds."""
    folds = {run.fold for arm in study.arms for run in arm.runs if run.fold is not None}
    if not folds:
        return [study]
    return [
        replace(
            study,
            arms=tuple(
                replace(arm, runs=tuple(run for run in arm.runs if run.fold == fold))
                for arm in study.arms
            ),
        )
        for fold in sorted(folds)
    ]


def fold_note(study: StudyRecord) -> list[str]:
    """How folds are made use of, if there are any."""
    folds = max((arm.folds for arm in study.arms), default=0)
    if not folds:
        return []
    tuned = any(arm.tuning for arm in study.arms)
    return [
        f"Cross-validation: each run validates on one of {folds} folds of the documents and trains "
        "on the others. Differences of arms are taken fold by fold and vary over folds, with the "
        "variance (1/k + 1/(k - 1)) of Nadeau and Bengio 2003, since the folds' training texts "
        "overlap: as it supposes where all of the others are trained on, less with a "
        "data.train_share. Half widths beside an arm's own mean take runs for independent, and are "
        "too narrow." + (" Tuning has validated on fold 0." if tuned else "")
    ]
