"""What translations of the arms' runs gave, for the report."""

from base64 import b64encode
from dataclasses import dataclass

from lmjax.runs.files import read_whole
from lmjax.runs.terminal import printable
from lmjax.studies.records import ArmRecord, StudyRecord
from lmjax.studies.statistics import summarize

MOST_PICTURES = 3  # of an arm
LARGEST_PICTURE = 1 << 20  # bytes


@dataclass(frozen=True)
class TranslationRow:
    """One arm's translations of a split in one way, over its seeds."""

    arm: str
    split: str
    decoding: str
    bleu: str  # mean ± half of its 95 % interval
    chrf: str
    comparison: str  # sacrebleu's signature of BLEU, and how the text was cleaned


def translation_rows(study: StudyRecord) -> list[TranslationRow]:
    """A row for each split and decoding of each arm that has any; equal ones of its seeds."""
    return [row for arm in study.arms for row in _of_arm(arm)]


def alignment_pictures(study: StudyRecord) -> list[tuple[str, str]]:
    """`(caption, address)` of what the first run of each arm drew of its translations.

    The address holds the picture as an image, which a page shows without executing what is in it.
    """
    pictures = []
    for arm in study.arms:
        for run in arm.finished[:1]:
            for path in sorted(run.path.glob("translations/*.svg"))[:MOST_PICTURES]:
                content = b64encode(read_whole(path, LARGEST_PICTURE)).decode()
                caption = printable(f"{arm.name}: {path.stem.replace('_', ' ')}")
                pictures.append((caption, f"data:image/svg+xml;base64,{content}"))
    return pictures


def _of_arm(arm: ArmRecord) -> list[TranslationRow]:
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for run in arm.finished:
        for split, decodings in run.results.get("translations", {}).items():
            for decoding, measured in decodings.items():
                cleaning = ", ".join(measured["cleaning"]) or "none"
                comparison = f"{measured['bleu_signature']}; cleaning: {cleaning}"
                scores = measured["bleu"], measured["chrf"]
                found.setdefault((split, decoding, comparison), []).append(scores)
    return [
        TranslationRow(
            arm.name,
            printable(split),
            printable(decoding),
            *(_interval([pair[place] for pair in scores]) for place in range(2)),
            printable(comparison),
        )
        for (split, decoding, comparison), scores in sorted(found.items())
    ]


def _interval(values: list[float]) -> str:
    summary = summarize(values)
    half_width = "" if summary.half_width is None else f" ± {summary.half_width:.2f}"
    return f"{summary.mean:.2f}{half_width}"
