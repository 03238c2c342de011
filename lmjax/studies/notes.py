"""What one must know to read a study's figures, in sentences."""

from collections.abc import Collection
from typing import Any

from lmjax.models.cost import MENTIONED_SHARE
from lmjax.runs.fields import is_number
from lmjax.runs.terminal import printable
from lmjax.studies.fairness import cautions, match_distance, match_target, trained_arms
from lmjax.studies.folds import fold_note
from lmjax.studies.records import ArmRecord, StudyRecord
from lmjax.studies.study import BEGINNINGS, TOLERANCE, flatten
from lmjax.studies.tuned import first_trials, search_text


def study_notes(study: StudyRecord) -> list[str]:
    """What the figures rest on; what failed comes first."""
    notes = [f"{arm.name} failed: {failure}." for arm in study.arms for failure in arm.failures]
    notes += [f"{arm.name} has a damaged run: {why}." for arm in study.arms for why in arm.damaged]
    notes += [_matched(study, quantity) for quantity in study.matched]
    if not study.is_of_one_tokenizer:
        notes.append(
            "Tokenizers differ, so that a token of one arm is not one of another: perplexities say "
            "nothing of each other and are not shown, only bits per byte."
        )
    notes += cautions(study)
    notes += _elementwise(study)
    notes += fold_note(study)
    notes += _contexts(study)
    notes += _begun(study)
    notes += _tuned(study)
    notes += _at_edges(study)
    for arm in study.arms:
        if arm.considered:
            figures = ", ".join(f"{name} {value:.4f}" for name, value in arm.considered.items())
            notes.append(f"{arm.name}: validation chose {arm.chosen} ({study.loss}: {figures}).")
        if arm.unfinished_choices:
            names = ", ".join(arm.unfinished_choices)
            notes.append(f"{arm.name}: {names} not finished, so its choice may change.")
        left_out = {
            str(name) for run in arm.finished for name in run.results.get("not_counted", ())
        }
        if left_out:
            names = printable(", ".join(sorted(left_out)))
            notes.append(f"{arm.name}: FLOPs are without those of {names}.")
        if arm.is_counted and len(study.arms) > 1:
            notes.append(f"{arm.name} is counted, not trained, and states its own size.")
    return notes


def _elementwise(study: StudyRecord) -> list[str]:
    """Whose FLOPs are element by element for more than a little, or that nobody knows."""
    runs = {name: arm.finished[0] for name, arm in trained_arms(study).items()}
    if not study.knows_elementwise:
        return [
            "FLOPs are of matrix products and convolutions alone: runs of earlier versions tell no "
            "others."
        ]
    shares = {}
    for name, run in runs.items():
        if flops := run.training_flops():
            shares[name] = 1 - run.training_flops(elementwise=False) / flops
    return [
        f"{name}: {share:.0%} of its FLOPs are done element by element, which takes longer than "
        "products do."
        for name, share in shares.items()
        if share > MENTIONED_SHARE
    ]


def _contexts(study: StudyRecord) -> list[str]:
    """What arms had read of the text before each target, where they differ in that."""
    arms = {}
    for arm in study.arms:
        scores = [score for split in ("validation", "test") for score in arm.scores(split).values()]
        if scores:
            arms.setdefault(scores[-1]["context"], []).append(arm.name)
    if len(arms) <= 1:
        return []
    each = "; ".join(f"{printable(what)} of {', '.join(names)}" for what, names in arms.items())
    return [f"Contexts differ, and who has read more knows more: {each}."]


def _begun(study: StudyRecord) -> list[str]:
    """What each arm began with, where arms differ in that."""
    begun = {
        arm.name: next(
            (
                str(fields[name])
                for fields in (flatten(run.config) for run in arm.runs)
                for name in BEGINNINGS
                if fields.get(name)
            ),
            "parameters drawn at random",
        )
        for arm in study.arms
    }
    if len(set(begun.values())) <= 1:
        return []
    each = ", ".join(f"{name} with {printable(what)}" for name, what in begun.items())
    return [
        f"Arms begin differently: {each}. Tokens, FLOPs and time are of their own training alone."
    ]


def _tuned(study: StudyRecord) -> list[str]:
    """What each tuned arm was tuned by; a sentence for each budget and grid that there is."""
    searches = {}
    for arm in study.arms:
        if arm.tuning:
            search = search_text(arm.tuning["tuning"], len(first_trials(arm.tuning)))
            searches.setdefault(search, []).append(arm.name)
    return [f"Tuned {_list(names, study)}: {search}." for search, names in searches.items()]


def _at_edges(study: StudyRecord) -> list[str]:
    """Where validation chose the lowest or the highest number that it was offered."""
    notes = []
    for arm in study.arms:
        at_edge = []
        for name, value, values in _chosen(arm):
            ends = {min(values): "lowest", max(values): "highest"}
            if len(ends) > 1 and value in ends:
                at_edge.append(f"{name}={value:g} is the {ends[value]} that was tried")
        if at_edge:
            notes.append(f"{arm.name}: {', '.join(at_edge)}; one beyond may be better.")
    return notes


def _chosen(arm: ArmRecord) -> list[tuple[str, float, list[float]]]:
    """Each number that validation chose: its field, its value and all values tried."""
    if arm.tuning:
        chosen, tried = arm.tuning["chosen"], arm.tuning["tuning"]["space"]
    else:
        choices = [_fields(name) for name in (*arm.considered, *arm.unfinished_choices)]
        chosen = _fields(arm.chosen)
        tried = {name: [choice.get(name) for choice in choices] for name in chosen}
    return [
        (name.rpartition(".")[2], value, tried[name])
        for name, value in chosen.items()
        if all(is_number(other) for other in (value, *tried.get(name, (None,))))
    ]


def _fields(choice: str) -> dict[str, Any]:
    """The values of a choice's name, such as `order=4`; those that are no numbers as None."""
    fields = {}
    for part in choice.split(","):
        name, _, value = part.partition("=")
        try:
            fields[name] = float(value)
        except ValueError:
            fields[name] = None
    return fields


def _list(names: Collection[str], study: StudyRecord) -> str:
    trained = [arm.name for arm in study.arms if not arm.is_counted]
    return "all trained arms alike" if list(names) == trained else ", ".join(names)


def _matched(study: StudyRecord, quantity: str) -> str:
    """How near the trained arms are to what is matched, or that this isn't known yet."""
    name = quantity.replace("_", " ")
    target, distance = match_target(study, quantity), match_distance(study, quantity)
    if target is None or distance is None:
        why = f": {study.baseline} is not finished" if target is None else ""
        return f"Not known yet whether {name} match{why}."
    state = "Matched" if distance <= TOLERANCE else "NOT matched"
    missing = [arm.name for arm in study.arms if not arm.finished]
    waiting = f"; {', '.join(missing)} not finished" if missing else ""
    whose = "aimed at, all" if target == study.target else f"in {study.baseline}, others"
    return f"{state}: {name}, {target:,.0f} {whose} within {distance:.2%} of it{waiting}."
