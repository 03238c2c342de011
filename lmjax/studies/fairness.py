"""What makes a comparison unfair, told from what was run, whatever the study's file says of it.

A breach forbids a verdict; a caution is told beside it.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from lmjax.runs.terminal import printable
from lmjax.studies.folds import by_fold
from lmjax.studies.held_out import readers
from lmjax.studies.records import ArmRecord, RunRecord, StudyRecord
from lmjax.studies.study import MATCHES, TOLERANCE
from lmjax.studies.tuned import budget_unit, first_trials, search_text


def breaches(study: StudyRecord) -> list[str]:
    """Why no verdict may be drawn of the study, each as the end of a sentence."""
    searches = {name: {_search(arm)} for name, arm in trained_arms(study).items()}
    return [
        *_unmatched(study),
        *([] if study.texts_differ else _other_texts(study)),
        *_unequal("were not tuned alike", searches),
        *_unequal_trials(study),
        *_repeated_seeds(study),
        *_early_reads(study),
    ]


def cautions(study: StudyRecord) -> list[str]:
    """What a reader must know who would believe the figures, in sentences."""
    return [
        *_training_that_differs(study),
        *_other_seeds(study),
        *_left_out(study),
        *_copies(study),
        *_reads(study),
    ]


def trained_arms(study: StudyRecord) -> dict[str, ArmRecord]:
    """The arms that are trained and not counted, as far as they have a finished run."""
    return {arm.name: arm for arm in study.arms if arm.finished and not arm.is_counted}


def quantity_of(study: StudyRecord, run: RunRecord, quantity: str) -> float | None:
    """What a finished run of a study has of one of MATCHES; None if it was not written down."""
    results: Mapping[str, Any] = run.results
    return {
        "parameters": results["parameters"]["total"],
        "non_embedding_parameters": results["parameters"]["non_embedding"],
        "state_bytes": results["state_bytes"],
        "training_tokens": results["training"]["tokens"],
        "training_flops": run.training_flops(study.knows_elementwise),
    }[quantity]


def match_target(study: StudyRecord, quantity: str) -> float | None:
    """What arms are to be near to: the study's target, or what the baseline has, once it is known.

    The target is of the first of MATCHES that is matched.
    """
    first = next((name for name in MATCHES if name in study.matched), None)
    if study.target is not None and quantity == first:
        return study.target
    baseline = trained_arms(study).get(study.baseline)
    return baseline and quantity_of(study, baseline.finished[0], quantity)


def match_distance(study: StudyRecord, quantity: str) -> float | None:
    """How far the furthest of all runs is from the target, as a share of it; None: not known.

    Where there are folds, whose texts differ in length and vocabulary, it is that of the fold.
    """
    distances = []
    for part in by_fold(study):
        target = match_target(part, quantity)
        values = [
            quantity_of(part, run, quantity)
            for arm in trained_arms(part).values()
            for run in arm.finished
        ]
        if not target or not values or None in values:
            return None
        distances += [abs(value - target) / target for value in values]
    return max(distances)


def _unmatched(study: StudyRecord) -> list[str]:
    distances = {name: match_distance(study, name) for name in study.matched}
    return [
        f"{name.replace('_', ' ')} are to be equal and are not, by {distance:.2%}"
        for name, distance in distances.items()
        if distance is not None and distance > TOLERANCE
    ]


def _unequal(what: str, values: Mapping[str, set[str]]) -> list[str]:
    """A breach if not all arms have the same one value; what is not known is no other one."""
    arms = {}
    for name, of_arm in values.items():
        for value in sorted(of_arm):
            arms.setdefault(value, []).append(name)
    if len(arms) <= 1:
        return []
    each = "; ".join(f"{', '.join(names)}: {value}" for value, names in arms.items())
    return [f"arms {what} ({printable(each)})"]


def _other_texts(study: StudyRecord) -> list[str]:
    return [
        breach
        for part in by_fold(study)
        for breach in _unequal(
            "were trained on different texts", {arm.name: _training_texts(arm) for arm in part.arms}
        )
    ]


def _training_texts(arm: ArmRecord) -> set[str]:
    """The digests of what its runs were trained on, as far as they wrote them down."""
    fingerprints = [run.results.get("fingerprints") for run in arm.finished]
    texts = [of_run.get("train") for of_run in fingerprints if isinstance(of_run, dict)]
    return {text.partition("-")[0] for text in texts if isinstance(text, str)}


def _search(arm: ArmRecord) -> str:
    """By how much search its values were found."""
    if not arm.tuning:
        choices = len(arm.considered) + len(arm.unfinished_choices)
        return f"{choices} choices" if choices else "no trials"
    return search_text(arm.tuning["tuning"], len(first_trials(arm.tuning)))


def _unequal_trials(study: StudyRecord) -> list[str]:
    tuned = {name: arm.tuning for name, arm in trained_arms(study).items() if arm.tuning}
    # Of what was asked for: a rung whose trials diverged was lost on equal terms.
    tokens = {name: budget_unit(tuning, "tokens") for name, tuning in tuned.items()}
    flops = [budget_unit(tuning, "flops") for tuning in tuned.values()]
    if _are_equal(tokens.values()) or (all(flops) and _are_equal(flops)):
        return []
    each = ", ".join(f"{name} {count:,.0f}" for name, count in tokens.items())
    return [f"arms were tuned by trials of different lengths, in tokens: {each}"]


def _are_equal(values: Collection[float]) -> bool:
    return max(values, default=0) - min(values, default=0) <= TOLERANCE * max(values, default=0)


def _repeated_seeds(study: StudyRecord) -> list[str]:
    found = []
    for arm in study.arms:
        seeds = Counter(run.seed for run in arm.runs)
        found += [
            f"{count} runs of {arm.name} have the seed {seed}, of which one would be picked"
            for seed, count in seeds.items()
            if count > 1
        ]
    return found


def _early_reads(study: StudyRecord) -> list[str]:
    """Reads of the test split before validation had chosen, or of what it did not choose."""
    found = [
        f"the test split was read of choices of {arm.name} that validation did not prefer, so that "
        "it may have been what chose"
        for arm in study.arms
        if arm.reads_of_others
    ]
    if study.reads_of_trials:
        found.append(
            f"the test split was read of trials ({study.reads_of_trials} times), so that it may "
            "have been what tuned"
        )
    return found


def _training_that_differs(study: StudyRecord) -> list[str]:
    """Says which arm has trained longer, where the study does not say that it shall be equal."""
    if study.scaling or {"training_tokens", "training_flops"} & set(study.matched):
        return []
    tokens = {
        name: max(run.results["training"]["tokens"] for run in arm.finished)
        for name, arm in trained_arms(study).items()
    }
    if not tokens or max(tokens.values()) <= (1 + TOLERANCE) * min(tokens.values()):
        return []
    each = ", ".join(f"{name} {count:,}" for name, count in tokens.items())
    return [f"NOT trained equally long, in tokens: {each}."]


def _other_seeds(study: StudyRecord) -> list[str]:
    begun = {run.seed for arm in study.arms for run in arm.runs}
    if not study.seeds or begun <= set(study.seeds):
        return []
    asked, others = (
        ", ".join(map(str, sorted(seeds))) for seeds in (study.seeds, begun - set(study.seeds))
    )
    return [
        f"The study asks for the seeds {asked}, but runs of {others} are there as well; all of "
        "them count, so that none is picked."
    ]


def _left_out(study: StudyRecord) -> list[str]:
    if not study.other_folders:
        return []
    return [
        f"There are runs of what the study does not name as an arm: "
        f"{', '.join(study.other_folders)}. Who leaves an arm out must say so."
    ]


def _copies(study: StudyRecord) -> list[str]:
    """Says which seeds of an arm have the very same nats, which chance would not give."""
    found = []
    for arm in trained_arms(study).values():
        seeds = {}
        for run in arm.finished:
            segments = [score.get("segments") or {} for score in run.results["splits"].values()]
            nats = tuple(tuple(of_split.get("nats", ())) for of_split in segments)
            if any(nats):
                seeds.setdefault(nats, []).append(str(run.seed))
        found += [
            f"{arm.name}: seeds {', '.join(same)} have the very same nats in every segment; are "
            "they copies, or does nothing depend on the seed?"
            for same in seeds.values()
            if len(same) > 1
        ]
    return found


def _reads(study: StudyRecord) -> list[str]:
    """How often the test split was read of each run, and by whom if that was more than once."""
    runs = [(arm.name, run) for arm in study.arms for run in arm.runs]
    tested = [run for _, run in runs if run.results and "test" in run.results["splits"]]
    read = [run for _, run in runs if run.test_reads]
    often = [(name, run) for name, run in runs if len(run.test_reads) > 1]
    found = [
        f"{name}, seed {run.seed}: the test split was read {len(run.test_reads)} times (by "
        f"{readers(run.test_reads)}); what was chosen after the first was chosen by it."
        for name, run in often
    ]
    if read and not often:
        found.append(f"The test split was read once of each of {len(read)} runs.")
    elif read:
        found.append(f"Of {len(read) - len(often)} other runs it was read once.")
    if unlogged := [run for run in tested if not run.test_reads]:
        found.append(
            f"{len(unlogged)} of {len(tested)} runs with a test score have no test_reads.jsonl, so "
            "that nobody knows how often their test split was read."
        )
    early = [
        f"{name}, seed {run.seed}: the test split was read at step {read['step']}, before the "
        "training had ended."
        for name, run in runs
        for read in run.test_reads
        if run.results and _is_early(read, run.results["training"])
    ]
    return early + found


def _is_early(read: Mapping[str, Any], training: Mapping[str, Any]) -> bool:
    scored = training.get("scored_step", training["steps"])
    return isinstance(read.get("step"), int) and read["step"] < min(scored, training["steps"])
