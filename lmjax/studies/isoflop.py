"""Iso-FLOP curves of a study that asks how the loss scales, and the laws that were fitted to them.

They are drawn as SVG and PNG beside the CSV of the runs, and a second one of the exponents.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter

from lmjax.errors import UserError
from lmjax.runs.files import write_atomically
from lmjax.studies.envelope import Envelope, fit_envelope
from lmjax.studies.parametric import ParametricLoss, fit_parametric
from lmjax.studies.plots import INK, MUTED, STYLE, arm_look, save_figure
from lmjax.studies.records import RunRecord, StudyRecord
from lmjax.studies.scaling import Observation, by_budget

NAME = "scaling"
NUMBERS = EngFormatter(sep="\N{NO-BREAK SPACE}")
COUNTS = {"total": "all parameters", "non_embedding": "parameters without embeddings"}


@dataclass(frozen=True)
class Scaling:
    """The picture as SVG, and what was found in sentences."""

    svg: str
    lines: tuple[str, ...]
    name: str = NAME  # of the files


def write_scaling(study: StudyRecord, split: str, folder: Path) -> Scaling | None:
    """Writes runs and exponents as CSV, and the picture; None unless the study asks for it."""
    runs = [run for arm in study.arms for run in arm.finished if run.seed in arm.scores(split)]
    if not study.scaling or not runs:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    lines, laws, envelope = [], [], None
    for count, meaning in COUNTS.items():
        observations = [_observation(run, split, count, study.knows_elementwise) for run in runs]
        for fit, told in ((fit_envelope, _envelope_line), (fit_parametric, _parametric_line)):
            try:
                law = fit(observations)
            except UserError as error:
                lines.append(f"Counting {meaning}: {error}.")
                continue
            lines.append(f"Counting {meaning}: {told(law)}")
            laws += [(meaning, *row) for row in _rows(law)]
            if count == "total" and isinstance(law, Envelope):
                envelope = law
    write_atomically(folder / f"{NAME}.csv", _runs_csv(study, split))
    header = ("parameters_counted", "law", "quantity", "value", "low", "high")
    write_atomically(folder / f"{NAME}_laws.csv", _csv(header, laws))
    with matplotlib.rc_context(STYLE):
        observations = [_observation(run, split, "total", study.knows_elementwise) for run in runs]
        svg = save_figure(draw(observations, envelope, split), folder / NAME)
    return Scaling(svg, tuple(lines))


def draw(observations: Sequence[Observation], envelope: Envelope | None, split: str) -> Figure:
    """The loss against all parameters, a colour for each budget; and what is best at each."""
    figure = Figure(figsize=(7.6, 3.3))
    left = figure.add_axes((0.07, 0.15, 0.42, 0.74))
    parabolas = envelope.parabolas if envelope else [None] * len(by_budget(observations))
    for index, (group, parabola) in enumerate(zip(by_budget(observations), parabolas, strict=True)):
        color = arm_look(index)["color"]
        parameters_N = np.array([one.parameters for one in group])
        left.plot(parameters_N, [one.loss for one in group], "o", markersize=3.5, color=color)
        left.plot([], [], color=color, label=f"{group[0].flops:.2g} FLOPs")
        if parabola:
            x = np.geomspace(parameters_N.min(), parameters_N.max(), 100)
            left.plot(x, parabola.loss_at(x), color=color, linewidth=1.5)
            left.plot(parabola.parameters, parabola.loss, "*", markersize=8, color=INK)
    left.set_xscale("log")
    left.xaxis.set_major_formatter(NUMBERS)
    left.set_xlabel("all parameters")
    left.legend(frameon=False, fontsize=8)
    figure.text(0.0, 0.95, f"{split} bits per byte", color=MUTED)
    if envelope:
        _draw_laws(figure.add_axes((0.6, 0.15, 0.38, 0.74)), envelope)
        figure.text(0.54, 0.95, "best at each budget", color=MUTED)
    return figure


def _draw_laws(axes: Axes, envelope: Envelope) -> None:
    flops_C = np.array([one.flops for one in envelope.parabolas])
    for index, (what, exponent, factor) in enumerate(
        (
            ("parameters", envelope.parameters_exponent, envelope.parameters_factor),
            ("tokens", envelope.tokens_exponent, envelope.tokens_factor),
        )
    ):
        look = arm_look(index)
        values_C = [getattr(one, what) for one in envelope.parabolas]
        axes.plot(flops_C, values_C, "o", markersize=5, color=look["color"])
        axes.plot(flops_C, factor * flops_C**exponent.value, color=look["color"], label=what)
        label = f"{what}, exponent {exponent.value:.2f}"
        place = {"xytext": (6, -6), "textcoords": "offset points", "ha": "left", "va": "top"}
        axes.annotate(label, (flops_C[0], values_C[0]), fontsize=8, color=look["color"], **place)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda flops, _: f"{flops:.0e}"))
    axes.yaxis.set_major_formatter(NUMBERS)
    axes.set_xlabel("training FLOPs")


def _observation(run: RunRecord, split: str, count: str, elementwise: bool) -> Observation:
    results = run.results
    tokens = results["training"]["tokens"]
    return Observation(
        parameters=results["parameters"][count],
        tokens=tokens,
        flops=run.training_flops(elementwise),
        loss=results["splits"][split]["bits_per_byte"],
    )


def _envelope_line(law: Envelope) -> str:
    return (
        f"at a budget of C FLOPs the best size is of C^{law.parameters_exponent} and the best "
        f"number of tokens of C^{law.tokens_exponent} (95 % intervals; parabolas at "
        f"{len(law.parabolas)} budgets)."
    )


def _parametric_line(law: ParametricLoss) -> str:
    return (
        f"L(N, D) = {law.irreducible} + A / N^{law.alpha} + B / D^{law.beta}, with A = "
        f"{law.parameters_factor.value:.4g} and B = {law.tokens_factor.value:.4g}, by which the "
        f"best size is of C^{law.parameters_exponent}."
    )


def _rows(law: Envelope | ParametricLoss) -> list[tuple[Any, ...]]:
    kind = "envelope" if isinstance(law, Envelope) else "parametric"
    return [
        (kind, name, value.value, value.low, value.high)
        for name, value in vars(law).items()
        if hasattr(value, "low")
    ]


def _runs_csv(study: StudyRecord, split: str) -> str:
    header = ("arm", "seed", *COUNTS, "tokens", "flops", f"{split}_bits_per_byte")
    rows = []
    for arm in study.arms:
        for run in arm.finished:
            if run.seed in arm.scores(split):
                one = _observation(run, split, "total", study.knows_elementwise)
                counts = [run.results["parameters"][count] for count in COUNTS]
                rows.append((arm.name, run.seed, *counts, one.tokens, one.flops, one.loss))
    return _csv(header, rows)


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
