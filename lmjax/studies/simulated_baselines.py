"""How often an arm is told from the baseline, falsely or not, and how often its interval covers."""

from dataclasses import dataclass

import numpy as np

from lmjax.studies.comparisons import holm, signed_difference
from lmjax.studies.simulated import DEVIATION, Setting, all_equal, simulate, to_markdown
from lmjax.studies.statistics import SIGNIFICANCE

OTHERS, SEEDS, TEXTS, EFFECTS = (1, 5), (3, 5), (0.0, 0.3, 1.0, 3.0), (1, 2, 3, 5)
SEGMENTS = 60


@dataclass(frozen=True)
class Outcomes:
    """Of simulated studies, of which arm 0 is the baseline: shares of comparisons, or of studies.

    `false_positives` and `family_wise` are of arms that are as the baseline: of comparisons whose
    p is significant, and of studies in which any is after Holm's correction. `power` is of arm 1,
    after that correction.
    """

    false_positives: float
    family_wise: float
    covers: float
    power: float


def outcomes(setting: Setting, studies: int) -> Outcomes:
    """What becomes of so many studies of a kind; the same at each call."""
    random = np.random.default_rng(0)
    places = np.array(setting.places[1:]) - setting.places[0]
    p_values, adjusted, misses, half_widths = [], [], [], []
    for _ in range(studies):
        baseline, *others = simulate(setting, random).values()
        found = [signed_difference(arm, baseline) for arm in others]
        p_values.append([one.p_value for _, one in found])
        adjusted.append(holm(p_values[-1]))
        misses.append([mean for mean, _ in found] - DEVIATION * places)
        half_widths.append([one.half_width for _, one in found])
    same = places == 0
    is_significant = np.array(p_values) < SIGNIFICANCE
    is_told = np.array(adjusted) < SIGNIFICANCE
    return Outcomes(
        false_positives=float(is_significant[:, same].sum() / max(studies * same.sum(), 1)),
        family_wise=float(is_told[:, same].any(axis=1).mean()),
        covers=float((np.abs(misses) <= half_widths).mean()),
        power=float(is_told[:, 0].mean()),
    )


def baseline_tables(studies: int) -> dict[str, str]:
    """The tables that TEXT has, as Markdown."""
    columns = "p below 0.05, a comparison", "any, after Holm, a study", "interval covers"
    return {
        "null": to_markdown(
            ("variance by text over that by seeds", "other arms", "seeds", *columns),
            [
                [f"{text:g}", str(others), str(seeds), *_rates(setting, studies)]
                for text in TEXTS
                for others in OTHERS
                for seeds in SEEDS
                for setting in [_equal(others, seeds, text=text)]
            ],
        ),
        "hard": to_markdown(("where", "seeds", *columns), _hard(studies)),
        "power": to_markdown(
            ("other arms", "seeds", *map(str, EFFECTS)),
            [
                [
                    str(others),
                    str(seeds),
                    *(f"{_power(others, seeds, effect, studies):.2f}" for effect in EFFECTS),
                ]
                for others in OTHERS
                for seeds in SEEDS
            ],
        ),
    }


def _equal(others: int, seeds: int, *, text: float = 1.0, **fields) -> Setting:
    segments = SEGMENTS if text else 0
    return all_equal(1 + others, seeds, **{"segments": segments, "text": text} | fields)


def _power(others: int, seeds: int, effect: float, studies: int) -> float:
    places = (0.0, -float(effect)) + (0.0,) * (others - 1)
    return outcomes(Setting(places, seeds, segments=SEGMENTS, text=1.0), studies).power


def _rates(setting: Setting, studies: int) -> list[str]:
    found = outcomes(setting, studies)
    rates = found.false_positives, found.family_wise, found.covers
    return [f"{value:.3f}" for value in rates]


def _hard(studies: int) -> list[list[str]]:
    kinds = {
        "the baseline varies three times as much": {"deviations": (3.0, 1.0)},
        "it varies ten times as much": {"deviations": (10.0, 1.0)},
        "seeds vary with heavy tails": {"heavy_tails": True},
        "nine tenths of a seed are common to the arms": {"common": 0.9},
        "the text has 12 segments": {"segments": 12},
    }
    return [
        [kind, str(seeds), *_rates(_equal(1, seeds, **fields), studies)]
        for kind, fields in kinds.items()
        for seeds in SEEDS
    ]


TEXT = """
## Beside the baseline

Each arm is compared with the baseline by Student's t on a bootstrap over seeds and segments of the
text at once (`lmjax/studies/comparisons.py`); its p, corrected by Holm for the number of arms, is
the one that a finding rests on. {studies} studies a row; all arms are as the baseline, which all
comparisons of a study share; a text has 60 segments, or is not looked at where its share is 0.

{null}

A comparison's rate of false positives should be 0.05, that of a study at most 0.05, and an interval
should cover in 0.95. Over three seeds, with no look at a text, the test is a little too careful
(0.036). So is Holm's correction, which takes no notice that arms share the baseline.

Where assumptions do not hold (one other arm, text and seeds of equal variance):

{hard}

An arm that varies far more than another over three seeds raises the rate to 0.07; seeds that act
alike on both arms lower it to 0.014, so that less is found than could be.

Power: how often an arm is found that is better than the baseline by so many deviations over seeds,
after Holm's correction, with text and seeds of equal variance.

{power}
"""
