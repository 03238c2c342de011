"""What a translation attended to: a picture of its tokens against those of the source."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel
from lmjax.runs.files import write_atomically
from lmjax.studies.plots import GRID, MUTED, PALETTE, PAPER, STYLE

CELL = 0.26  # inches, of one token
COLOURS = LinearSegmentedColormap.from_list("weight", (PAPER, PALETTE[0]))


@dataclass(frozen=True)
class Alignment:
    """The weight of each token of a source in writing each token of a target."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights_TS: np.ndarray


def check_attends(model: LanguageModel, params: Any) -> None:
    """Raises UserError for a model without attention to a source."""
    source = model.example_source(1, 1)
    look = partial(model.apply, method="alignments")
    jax.eval_shape(look, params, jax.ShapeDtypeStruct((1, 1), np.int32), **source)


def align(
    model: LanguageModel, params: Any, tokenizer: Tokenizer, source: str, tokens: Sequence[int]
) -> Alignment:
    """What each of the `tokens` of a translation, and its end, attended to.

    Raises UserError for a source without tokens, and for a model without attention to a source.
    """
    source_N = tokenizer.source.encode_source(source)
    if not len(source_N):
        raise UserError("a source without tokens has nothing to attend to; give one with text")
    targets = [int(token) for token in tokens]
    if tokenizer.end_id is not None:
        targets.append(tokenizer.end_id)
    read_BT = np.array([[tokenizer.start_id, *targets[:-1]]], np.int32)
    look = jax.jit(partial(model.apply, method="alignments"))
    weights_BTS = look(params, read_BT, source_BS=source_N[None].astype(np.int32))
    return Alignment(
        tuple(_label(tokenizer.source, token) for token in source_N),
        tuple(_label(tokenizer, token) for token in targets),
        np.asarray(weights_BTS)[0],
    )


def write_alignment(alignment: Alignment, path: Path) -> None:
    """Draws an alignment as SVG."""
    content = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = draw(alignment)
        figure.savefig(content, format="svg", bbox_inches="tight", metadata={"Date": None})
    write_atomically(path, content.getvalue())


def draw(alignment: Alignment) -> Figure:
    """The source from left to right, the target downwards; the darker, the more weight."""
    rows, columns = alignment.weights_TS.shape
    figure = Figure(figsize=(CELL * columns, CELL * rows))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    mesh = axes.pcolormesh(
        alignment.weights_TS, cmap=COLOURS, vmin=0.0, vmax=1.0, edgecolors=GRID, linewidth=0.5
    )
    axes.invert_yaxis()
    axes.grid(False)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(columns) + 0.5, alignment.source, rotation=90)
    axes.set_yticks(np.arange(rows) + 0.5, alignment.target)
    axes.tick_params(length=0)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("source", labelpad=8)
    axes.set_ylabel("translation", labelpad=8)
    scale = figure.add_axes((1.0 + 0.5 / columns, 0.0, 0.4 / columns, 1.0))
    bar = figure.colorbar(mesh, cax=scale, ticks=(0.0, 0.5, 1.0))
    bar.outline.set_visible(False)
    bar.set_label("weight", color=MUTED)
    return figure


def _label(tokenizer: Tokenizer, token: int) -> str:
    """A token as text; what decodes to nothing but spaces is shown as what it is."""
    if token == tokenizer.end_id:
        return "<eos>"
    text = tokenizer.decode([int(token)])
    return text.strip() or repr(text)
