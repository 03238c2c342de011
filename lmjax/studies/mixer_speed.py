"""Time a token of each mixer against the length of rows, as a page, a plot and a CSV.

Run by `python -m lmjax.studies.mixer_speed FILE.md [MIXER ...]`; it takes some ten minutes.
"""

import csv
import io
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from lmjax.errors import UserError
from lmjax.mixers.registry import MIXERS, mixer_maker
from lmjax.runs.files import write_atomically
from lmjax.runs.terminal import progress_bar
from lmjax.studies.plots import LABEL_GAP, MUTED, STYLE, arm_look, save_figure, spread

WIDTH, HEADS = 256, 4
LENGTHS = (128, 512, 2048, 8192)
TOKENS = 8192  # of all rows together
TICKS = [digit * 10**power for power in range(6) for digit in (1, 2, 5)]  # microseconds
TIMES = 3  # of which the median counts, after one to warm up

# Mixers by what their parallel form is, which decides how their time grows; and that form in words.
GROUPS: dict[str, tuple[tuple[str, ...], str]] = {
    "attention": (
        (
            "attention",
            "sliding_window",
            "multi_head_latent_attention",
            "differential_attention",
            "transformer_xl",
        ),
        "Scores of queries in chunks against all keys, or those of a window: no more than a chunk "
        "of scores is held. Within a row every token is compared with each before it, so time a "
        "token grows with T, but for a window or a memory of fixed length.",
    ),
    "one token after the other": (
        (
            "recurrent",
            "projected_lstm",
            "peephole_lstm",
            "layer_norm_lstm",
            "mogrifier_lstm",
            "slstm",
            "stack_rnn",
            "tape_rnn",
        ),
        "A gate depends on the last output, so nothing but a loop is exact (`recurrent` is an "
        "LSTM). Products with the input are made before the loop for all tokens; gradients of the "
        "matrices after it, in one product. The loop's products have B rows, so few rows use the "
        "machine badly: that is why they are slow at T = 8,192, where B is 1.",
    ),
    "element by element": (
        ("qrnn", "sru", "min_gru", "min_lstm", "lru", "rg_lru", "rwkv4", "s4d", "mamba"),
        "Gates depend on the input alone. On a CPU the recurrence runs token after token, which "
        "costs less than the log T rounds of an associative scan that accelerators take; its "
        "gradient is the same recurrence backwards. States that are wider than the model (S4D, "
        "Mamba) are kept for one chunk at a time. Mamba, and RWKV-7 below, take longer where rows "
        "are few, as each turn of the loop then has little to do at once.",
    ),
    "chunks of a matrix state": (
        (
            "linear_attention",
            "retention",
            "lightning_attention",
            "gated_linear_attention",
            "mamba2",
            "delta_net",
            "gated_delta_net",
            "rwkv7",
            "mlstm",
            "mlstm_large",
        ),
        "Within a chunk as attention, by matrix products; between chunks as a recurrence. So time "
        "a token does not depend on T.",
    ),
    "convolutions": (
        ("hyena", "base_conv", "rwkv_channel_mixing"),
        "Hyena: filters as long as the row, multiplied after a Fourier transform: T log T "
        "operations. The others read a token and those just before it, directly.",
    ),
}


@dataclass(frozen=True)
class Speed:
    """Forward and backward pass of one mixer, on TOKENS tokens in rows of `length`."""

    mixer: str
    length: int
    nanoseconds: float  # a token
    megabytes: float  # that the compiled program holds beside arguments and results


def measure(name: str, length: int, options: Mapping[str, Any] | None = None) -> Speed:
    """One mixer's speed at one length, with its default options."""
    normal = nn.initializers.normal(0.02)
    given = dict(
        width=WIDTH,
        heads=HEADS,
        bias=False,
        dropout=0.0,
        initializer=normal,
        output_initializer=normal,
    )
    mixer = mixer_maker(name, options or {}, given)(parent=None)
    rows = TOKENS // length
    generator = np.random.default_rng(0)
    x_BTD, pull_BTD = generator.normal(size=(2, rows, length, WIDTH)).astype(np.float32)
    time_BT = jnp.arange(length, dtype=jnp.int32)[None]
    short = x_BTD[:1, :8], None, time_BT[:, :8], None, True
    params = nn.meta.unbox(mixer.init(jax.random.key(0), *short))

    def total(params, x_BTD):
        return jnp.sum(mixer.apply(params, x_BTD, None, time_BT, None, True)[0] * pull_BTD)

    compiled = jax.jit(jax.grad(total, argnums=(0, 1))).lower(params, x_BTD).compile()
    jax.block_until_ready(compiled(params, x_BTD))
    seconds = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        jax.block_until_ready(compiled(params, x_BTD))
        seconds.append(time.perf_counter() - begin)
    memory = compiled.memory_analysis().temp_size_in_bytes
    return Speed(name, length, 1e9 * statistics.median(seconds) / TOKENS, memory / 1e6)


def page(speeds: Sequence[Speed], plot: str) -> str:
    """The table in Markdown, by groups; `plot` is the name of the picture."""
    devices = jax.devices()
    lines = [
        "# Time a token against the length of rows",
        "",
        "`python -m lmjax.studies.mixer_speed` wrote this page: forward and backward pass of one "
        f"mixer of width {WIDTH} (heads: {HEADS}, other options by default), float32, on "
        f"{TOKENS:,} tokens in rows of T. The median of {TIMES} passes, in microseconds a token; "
        "in brackets the megabytes that the program holds beside arguments and results. "
        f"jax {jax.__version__}, {len(devices)} x {devices[0].device_kind}.",
        "",
        f"![time a token against T]({plot})",
    ]
    by_mixer: dict[str, dict[int, Speed]] = {}
    for speed in speeds:
        by_mixer.setdefault(speed.mixer, {})[speed.length] = speed
    for group, (names, form) in GROUPS.items():
        if not by_mixer.keys() & set(names):
            continue
        lines += ["", f"## {group[0].upper()}{group[1:]}", "", form, ""]
        lengths = " | ".join(f"T = {length:,}" for length in LENGTHS)
        lines += [f"| mixer | {lengths} | last / first |", "| --- |" + " ---: |" * 5]
        for name in names:
            if found := by_mixer.get(name):
                first, *_, last = (found[length].nanoseconds for length in LENGTHS)
                cells = [
                    f"{found[n].nanoseconds / 1e3:.2f} ({found[n].megabytes:,.0f})" for n in LENGTHS
                ]
                lines.append(f"| {' | '.join([name, *cells])} | {last / first:.2f} |")
    return "\n".join(lines) + "\n"


def to_csv(speeds: Sequence[Speed]) -> str:
    """The plotted numbers."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("mixer", "length", "nanoseconds_per_token", "megabytes"))
    rows.writerows(
        (s.mixer, s.length, f"{s.nanoseconds:.1f}", f"{s.megabytes:.1f}") for s in speeds
    )
    return text.getvalue()


def draw(speeds: Sequence[Speed]) -> Figure:
    """A panel for each group of mixers, on the same logarithmic axes."""
    present = {speed.mixer for speed in speeds}
    groups = [(group, [n for n in names if n in present]) for group, (names, _) in GROUPS.items()]
    groups = [(group, names) for group, names in groups if names]
    lowest = min(speed.nanoseconds for speed in speeds) / 1e3 / 1.3
    highest = max(speed.nanoseconds for speed in speeds) / 1e3 * 1.3
    figure = Figure(figsize=(10.0, 3.1 * -(-len(groups) // 2)))
    ticks = [tick for tick in TICKS if lowest < tick < highest]
    for index, (group, names) in enumerate(groups):
        axes = figure.add_subplot(-(-len(groups) // 2), 2, index + 1)
        axes.set(xscale="log", yscale="log", ylim=(lowest, highest))
        axes.set_xticks(LENGTHS, [f"{length:,}" for length in LENGTHS], fontsize=8)
        axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8)
        axes.minorticks_off()
        axes.set_title(group, loc="left", fontsize=10, color=MUTED)
        ends = []
        for place, name in enumerate(names):
            own = {s.length: s.nanoseconds / 1e3 for s in speeds if s.mixer == name}
            y = [own[length] for length in LENGTHS]
            axes.plot(LENGTHS, y, marker="o", markersize=3.5, linewidth=1.5, **arm_look(place))
            ends.append(np.log(y[-1] / lowest) / np.log(highest / lowest))
        for place, (name, end) in enumerate(zip(names, spread(ends, LABEL_GAP), strict=True)):
            axes.text(
                1.02,
                end,
                name,
                transform=axes.transAxes,
                va="center",
                fontsize=8,
                color=arm_look(place)["color"],
            )
    figure.text(0.0, 1.0, "microseconds a token, against T", color=MUTED)
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    return figure


def main(path: Path, names: Sequence[str]) -> None:
    """Measures and writes the page, with `path` ending in .csv, .svg and .png beside it."""
    known = [name for names, _ in GROUPS.values() for name in names if name in MIXERS]
    if unknown := set(names) - set(known):
        raise UserError(f"no mixer {sorted(unknown)[0]!r} among {', '.join(known)}")
    chosen, speeds = names or known, []
    with progress_bar(Console(), "mixers", len(chosen) * len(LENGTHS)) as advance:
        for name in chosen:
            for length in LENGTHS:
                speeds.append(measure(name, length))
                advance(1)
    write_atomically(path.with_suffix(".csv"), to_csv(speeds))
    with matplotlib.rc_context(STYLE):
        save_figure(draw(speeds), path.with_suffix(""))
    write_atomically(path, page(speeds, path.with_suffix(".svg").name))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
