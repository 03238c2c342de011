"""Simulated studies whose truth is known, to see how often what is said of them is false."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lmjax.studies.statistics import ArmScores, SegmentBits

SCORE, DEVIATION = 2.0, 0.01  # bits per byte: of all arms, and over their seeds
FAR = 300.0  # deviations over seeds


@dataclass(frozen=True)
class Setting:
    """Studies of one kind; places and deviations of the arms in units of DEVIATION."""

    places: tuple[float, ...]
    seeds: int
    deviations: tuple[float, ...] = ()  # over seeds; without them, 1 for each
    common: float = 0.0  # the share of the variance that a seed gives to all arms alike
    heavy_tails: bool = False  # scores vary as Student's t with 3 degrees of freedom
    segments: int = 0
    text: float = 0.0  # variance of a difference by the text, over that by the seeds


def simulate(setting: Setting, random: np.random.Generator) -> dict[str, ArmScores]:
    """One study: scores that vary over seeds and, where there are segments, over text."""
    arms, seeds = len(setting.places), setting.seeds
    draws_AS = random.normal(size=(arms, seeds))
    if setting.heavy_tails:
        draws_AS = random.standard_t(3, size=(arms, seeds)) / np.sqrt(3)
    draws_AS = np.sqrt(1 - setting.common) * draws_AS
    draws_AS += np.sqrt(setting.common) * random.normal(size=seeds)
    spread_A = np.array(setting.deviations or (1.0,) * arms)
    scores_AS = SCORE + DEVIATION * (
        np.array(setting.places)[:, None] + spread_A[:, None] * draws_AS
    )
    if not setting.segments:
        return {
            f"arm {a}": ArmScores(dict(enumerate(scores_S))) for a, scores_S in enumerate(scores_AS)
        }
    bytes_G = random.integers(2000, 4096, size=setting.segments).astype(float)
    hard_G = random.gamma(2.0, 0.1, size=setting.segments) - 0.2  # for all arms alike, and skewed
    # Two arms with S seeds of deviation 1 differ with the variance 2 / S.
    scale = DEVIATION * np.sqrt(setting.text / seeds * setting.segments)
    text_AG = scale * (random.gamma(2.0, np.sqrt(0.5), (arms, setting.segments)) - np.sqrt(2))
    bits_ASG = bytes_G * (scores_AS[:, :, None] + hard_G + text_AG[:, None, :])
    return {
        f"arm {a}": ArmScores(
            dict(enumerate(bits_SG.sum(axis=1) / bytes_G.sum())), SegmentBits(bits_SG, bytes_G)
        )
        for a, bits_SG in enumerate(bits_ASG)
    }


def rate(setting: Setting, event: Callable[[dict[str, ArmScores]], bool], studies: int) -> float:
    """The share of simulated studies in which an event occurs; the same one at each call."""
    random = np.random.default_rng(0)
    return float(np.mean([event(simulate(setting, random)) for _ in range(studies)]))


def two_share_the_best_place(arms: int, seeds: int, **fields) -> Setting:
    """Where a winner is false and likeliest: two equal arms, the others far behind."""
    return Setting((0.0, 0.0) + (FAR,) * (arms - 2), seeds, **fields)


def all_equal(arms: int, seeds: int, **fields) -> Setting:
    return Setting((0.0,) * arms, seeds, **fields)


def to_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
