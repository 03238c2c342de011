"""How often a verdict is false, finds what is there, and an interval covers: simulated studies.

`python -m lmjax.studies.simulation > experiments/results/verdict.md` takes some fifteen minutes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from scipy import stats

from lmjax.studies.simulated import (
    SCORE,
    Setting,
    all_equal,
    rate,
    simulate,
    to_markdown,
    two_share_the_best_place,
)
from lmjax.studies.simulated_baselines import TEXT as BASELINE_TEXT
from lmjax.studies.simulated_baselines import baseline_tables
from lmjax.studies.statistics import (
    SIGNIFICANCE,
    ArmScores,
    Verdict,
    difference,
    summarize,
    text_half_width,
    verdict,
)

STUDIES = 2000
ARMS, SEEDS, EFFECTS = (2, 3, 6), (3, 5), (1, 2, 3, 5, 10)


def has_winner(arms: dict[str, ArmScores]) -> bool:
    return judge(arms).winner is not None


def has_winner_over_seeds(arms: dict[str, ArmScores]) -> bool:
    """As `has_winner`, had one not looked at the text."""
    return has_winner({name: replace(arm, segments=None) for name, arm in arms.items()})


def says_anything(arms: dict[str, ArmScores]) -> bool:
    """Whether the verdict calls an arm better than any other."""
    return bool(judge(arms).worse)


def judge(arms: dict[str, ArmScores]) -> Verdict:
    return verdict(arms, "bits per byte")


def pooled_p_value(arms: dict[str, ArmScores]) -> float:
    """Of the lowest two arms, seeds as blocks, with one variance for all: an alternative."""
    scores_AS = np.array([list(arm.by_seed.values()) for arm in arms.values()])
    means_A = scores_AS.mean(axis=1)
    rest_AS = scores_AS - means_A[:, None] - scores_AS.mean(axis=0) + scores_AS.mean()
    degrees = (len(means_A) - 1) * (scores_AS.shape[1] - 1)
    variance = (rest_AS**2).sum() / degrees
    lowest, second = np.sort(means_A)[:2]
    t = (second - lowest) / np.sqrt(2 * variance / scores_AS.shape[1])
    return 2 * float(stats.t.sf(t, degrees))


def paired_p_value(arms: dict[str, ArmScores]) -> float:
    """Of the lowest arm against its closest rival, seed by seed: an alternative."""
    scores = [np.array(list(arm.by_seed.values())) for arm in arms.values()]
    lowest = scores.pop(int(np.argmin([values.mean() for values in scores])))
    return max(float(stats.ttest_rel(rival, lowest).pvalue) for rival in scores)


def welch_p_value(arms: dict[str, ArmScores]) -> float:
    """The verdict's, of the lowest arm against its closest rival."""
    lowest = min(arms.values(), key=lambda arm: arm.mean)
    return max(difference(arm, lowest).p_value for arm in arms.values() if arm is not lowest)


def interval_over_seeds_covers(arms: dict[str, ArmScores]) -> bool:
    summary = summarize(list(arms["arm 0"].by_seed.values()))
    return abs(summary.mean - SCORE) <= summary.half_width


def interval_over_text_covers(arms: dict[str, ArmScores]) -> bool:
    return abs(arms["arm 0"].mean - SCORE) <= text_half_width(arms["arm 0"].segments)


def interval_of_a_difference_covers(arms: dict[str, ArmScores]) -> bool:
    found = difference(arms["arm 0"], arms["arm 1"])
    return abs(found.mean) <= found.half_width


def false_positives(studies: int) -> list[list[str]]:
    """Arms, seeds, and the rate of false winners and of any false statement, each setting a row."""
    kinds = {
        "equally": lambda others: {},
        "two arms vary three times as much as others": lambda others: {
            "deviations": (3.0, 3.0) + (1.0,) * others
        },
        "one varies ten times as much as another": lambda others: {
            "deviations": (3.0, 0.3) + (1.0,) * others
        },
        "equally, with heavy tails": lambda others: {"heavy_tails": True},
        "equally, nine tenths of it common to a seed": lambda others: {"common": 0.9},
    }
    rows = []
    for kind, fields in kinds.items():
        for arms in ARMS:
            for seeds in SEEDS:
                best = two_share_the_best_place(arms, seeds, **fields(arms - 2))
                equal = all_equal(arms, seeds, **fields(arms - 2))
                rates = (
                    rate(best, has_winner, studies),
                    rate(equal, says_anything, studies),
                    rate(equal, has_winner, studies),
                )
                rows.append([kind, str(arms), str(seeds), *(f"{value:.3f}" for value in rates)])
    return rows


def text_false_positives(studies: int) -> list[list[str]]:
    """With a text that differs by chance, too: its share, seeds, and the rate of false winners."""
    rows = []
    for text in (0.0, 0.3, 1.0, 3.0, 30.0):
        for seeds in SEEDS:
            setting = all_equal(2, seeds, segments=60, text=text)
            rates = [rate(setting, event, studies) for event in (has_winner, has_winner_over_seeds)]
            rows.append([f"{text:g}", str(seeds), *(f"{value:.3f}" for value in rates)])
    return rows


def power(studies: int) -> list[list[str]]:
    """Arms, seeds, and how often the best of them wins, by its lead over all others."""
    rows = []
    for arms in ARMS:
        for seeds in SEEDS:
            settings = [Setting((0.0,) + (effect,) * (arms - 1), seeds) for effect in EFFECTS]
            rates = [rate(setting, has_winner, studies) for setting in settings]
            rows.append([str(arms), str(seeds), *(f"{value:.2f}" for value in rates)])
    return rows


def alternatives(studies: int) -> list[list[str]]:
    """Other tests with six arms and three seeds: false winners, and power at 3 and 5 deviations."""
    unequal = {"deviations": (3.0, 3.0, 1.0, 1.0, 1.0, 1.0)}
    random = np.random.default_rng(0)
    draws = [welch_p_value(simulate(all_equal(6, 3), random)) for _ in range(studies)]
    tests = {
        "Welch's (the verdict's)": (welch_p_value, SIGNIFICANCE),
        "paired by seeds": (paired_p_value, SIGNIFICANCE),
        "one variance for all arms, seeds as blocks": (pooled_p_value, SIGNIFICANCE),
        "Welch's, calibrated where all arms are equal": (
            welch_p_value,
            float(np.quantile(draws, SIGNIFICANCE)),
        ),
    }
    settings = (
        all_equal(6, 3),
        two_share_the_best_place(6, 3),
        two_share_the_best_place(6, 3, **unequal),
        Setting((0.0,) + (3.0,) * 5, 3),
        Setting((0.0,) + (5.0,) * 5, 3),
    )
    rows = []
    for name, (p_value, level) in tests.items():
        rejects = partial(_rejects, p_value=p_value, level=level)
        rows.append([name, *(f"{rate(setting, rejects, studies):.3f}" for setting in settings)])
    return rows


def _rejects(arms: dict[str, ArmScores], p_value: Callable, level: float) -> bool:
    return p_value(arms) < level


def coverage(studies: int) -> list[list[str]]:
    """Which interval, and how often it covers; it should be 0.95."""
    rows = []
    for seeds in SEEDS:
        covered = rate(Setting((0.0,), seeds), interval_over_seeds_covers, studies)
        rows.append([f"an arm's mean, over n = {seeds} seeds", f"{covered:.3f}"])
    for segments in (6, 12, 60, 300):
        setting = Setting((0.0,), 3, deviations=(0.0,), segments=segments)
        covered = rate(setting, interval_over_text_covers, studies)
        rows.append([f"an arm's score, over {segments} segments of text", f"{covered:.3f}"])
    for seeds in SEEDS:
        for text in (0.3, 3.0):
            setting = all_equal(2, seeds, segments=60, text=text)
            covered = rate(setting, interval_of_a_difference_covers, studies)
            name = f"a difference, over n = {seeds} seeds and text of {text:g} times their variance"
            rows.append([name, f"{covered:.3f}"])
    return rows


def report(studies: int = STUDIES) -> str:
    """All of it as Markdown."""
    return TEXT.format(
        studies=studies,
        false_positives=to_markdown(
            (
                "seeds vary",
                "arms",
                "seeds",
                "false winner, two share the best place",
                "any false statement, all equal",
                "a winner, all equal",
            ),
            false_positives(studies),
        ),
        text=to_markdown(
            ("variance by text over that by seeds", "seeds", "false winner", "text not looked at"),
            text_false_positives(studies),
        ),
        power=to_markdown(("arms", "seeds", *(f"{effect}" for effect in EFFECTS)), power(studies)),
        alternatives=to_markdown(
            (
                "test",
                "all equal",
                "two share the best place",
                "the same, and vary three times as much",
                "power at 3",
                "power at 5",
            ),
            alternatives(studies),
        ),
        coverage=to_markdown(("95 % interval of", "covers"), coverage(studies)),
    ) + BASELINE_TEXT.format(studies=studies, **baseline_tables(studies))


TEXT = """# How far a verdict can be trusted

`python -m lmjax.studies.simulation > experiments/results/verdict.md`: {studies} simulated studies a
figure, judged by the code that judges real ones, so a rate of 0.05 is known to about 0.01. Scores
vary normally over seeds unless it says otherwise; differences are in deviations over seeds.

## False positives

A verdict makes two kinds of statement, each at 0.05.

*An arm wins* says that it is better than every other. That is false, and likeliest to be said,
where two arms share the best place and all others are far behind: the rate there is the test's
size. Where more arms share the place, each of them has to be beaten, and the rate is lower; so no
correction for their number is due.

*It is better than these*, where no arm wins, speaks of several pairs at once. Where all arms are
equal it is false whichever it names.

{false_positives}

The rate rises to 0.06 or 0.07 where one arm varies ten times as much as another over three seeds.
Where a seed acts alike on all arms the test is far too careful: it says too little, not too much.
With heavy tails it is a little too careful: the rates of false statements are 0.022 to 0.039.

The text differs by chance, too (two arms, 60 segments). A test that looks at seeds alone calls what
this text happens to favour a winner.

{text}

## Power

How often the best of the arms wins, by its lead over all the others.

{power}

## Other tests

Six arms, three seeds. One variance for all arms finds more, but fails where arms vary differently,
as models do. Pairing by seeds is exact, but has few degrees of freedom; it would pay where a seed
acts alike on all arms. To have a winner in 5 % of the studies whose six arms are all equal, the
threshold has to be so loose that where two share the best place a false winner is called far more
often.

{alternatives}

## Coverage

{coverage}
"""


if __name__ == "__main__":
    print(report(), end="")
