"""A run that begins with the parameters of another one: all of them, or those that fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from lmjax.checkpoints.store import Checkpoints
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError
from lmjax.nn.leaves import leaf_name
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.leaf_groups import matching

VOCABULARY = "vocab"  # the logical axis of parameters that has an entry for each token
SHOWN = 12  # names in a message


@dataclass(frozen=True)
class WarmStart:
    """Whose parameters a run begins with, and which of them."""

    origin: str  # RUN@STEP, and the digest of its parameters
    params: Any  # the tree of the new model; None where a leaf is drawn anew
    known_tokens: int  # of a vocabulary that has grown: how many the other run knew
    taken: tuple[str, ...]
    new: tuple[str, ...]
    left: tuple[str, ...]

    def merged(self, fresh: Any) -> Any:
        """The parameters to begin with; `fresh` are the new model's own, as they were drawn."""

        def one(drawn, taken):
            if taken is None:
                return drawn
            drawn = np.array(drawn)
            drawn[tuple(slice(size) for size in taken.shape)] = taken
            return drawn

        return jax.tree.map(one, fresh, self.params, is_leaf=lambda leaf: leaf is None)

    def remarks(self) -> list[str]:
        """What was taken, made new and left out, a line each."""
        lines = [f"begins with {len(self.taken)} parameters of {self.origin}"]
        for what, names in (("drawn anew", self.new), ("left out", self.left)):
            if names:
                lines.append(f"{len(names)} {what}: {', '.join(names)}")
        if self.known_tokens:
            lines.append(f"the vocabulary has grown from {self.known_tokens:,} tokens")
        return lines


def warm_start(training: ConfigDict, tokenizer: Tokenizer, like: Any) -> WarmStart:
    """What `training.initial_params` names: a run directory RUN, or its checkpoint: RUN@STEP.

    Without a step, the parameters that its results are of, or of its newest checkpoint. `like` is
    the abstract tree of the new model's, boxed with logical axis names. The vocabulary may have
    grown at its end. Raises UserError if there are none, if its tokens are others, and for a
    parameter that is in one of the trees alone, or has another shape, unless
    `training.initial_new` or `initial_left` names it.
    """
    path, step = _parsed(training.initial_params)
    run = RunDirectory(path)
    try:
        run.config()  # raises for what is no run
        known_tokens = _known_tokens(load_tokenizer(run.tokenizer_path), tokenizer)
        if known_tokens is None:
            raise UserError(f"{path} has another vocabulary")
        checkpoints = Checkpoints(run.checkpoints, read_only=True)
        try:
            if step is None:
                step = _step_of(run, checkpoints)
            old = _leaves(checkpoints.restore_params(step))
        finally:
            checkpoints.close()
        return _fitted(training, f"{path}@{step}", old, like, known_tokens)
    except UserError as error:
        raise UserError(f"training.initial_params {training.initial_params!r}: {error}") from error


def _known_tokens(old: Tokenizer, new: Tokenizer) -> int | None:
    """0 if the new vocabulary, or its sources', is the old one; the old size if it has grown.

    None if it is another one.
    """
    for side in (new, new.source):
        if side.to_json() == old.to_json():
            return 0
    return next((old.vocabulary_size for side in (new, new.source) if side.extends(old)), None)


def _fitted(
    training: ConfigDict, origin: str, old: Mapping[str, np.ndarray], like: Any, known_tokens: int
) -> WarmStart:
    boxed = jax.tree_util.tree_flatten_with_path(
        like, is_leaf=lambda leaf: isinstance(leaf, nn.Partitioned)
    )[0]
    wanted = {leaf_name(path): leaf for path, leaf in boxed}
    taken = {
        name: old[name]
        for name, leaf in wanted.items()
        if name in old and _fits(old[name], leaf, known_tokens)
    }
    new = [name for name in wanted if name not in taken]
    left = [name for name in old if name not in taken]
    if not taken:
        raise UserError(f"{origin} does not fit: no parameter has the same name and shape")
    _check_named(new, old, training.initial_new, "initial_new", origin, "is not in, or not as in,")
    _check_named(left, wanted, training.initial_left, "initial_left", origin, "is in excess in")
    digest = sha256()
    for name in sorted(old):
        digest.update(name.encode() + np.ascontiguousarray(old[name]).tobytes())
    params = jax.tree_util.tree_map_with_path(
        lambda path, _: taken.get(leaf_name(path)), nn.meta.unbox(like)
    )
    return WarmStart(
        origin=f"{origin} ({digest.hexdigest()[:16]})",
        params=params,
        known_tokens=known_tokens,
        taken=tuple(taken),
        new=tuple(new),
        left=tuple(left),
    )


def _fits(old: np.ndarray, new: Any, known_tokens: int) -> bool:
    """Whether the shapes agree, but for an axis of the vocabulary that has grown."""
    axes = new.names if isinstance(new, nn.Partitioned) else (None,) * old.ndim
    shape = nn.meta.unbox(new).shape
    return len(shape) == old.ndim and all(
        size == before or (axis == VOCABULARY and before == known_tokens < size)
        for size, before, axis in zip(shape, old.shape, axes, strict=True)
    )


def _check_named(
    names: Sequence[str],
    others: Mapping[str, Any],
    patterns: Sequence[str],
    field: str,
    origin: str,
    what: str,
) -> None:
    """Raises UserError for names that no pattern stands for, and patterns of no such name."""
    expected = matching(names, patterns, f"training.{field}") if patterns else set()
    unexpected = [name for name in names if name not in expected]
    if unexpected:
        shown = ", ".join(unexpected[:SHOWN])
        more = f" and {len(unexpected) - SHOWN} more" if len(unexpected) > SHOWN else ""
        raise UserError(
            f"{origin} does not fit: {shown}{more} {what} it; if that is meant, name them by "
            f"patterns in training.{field}"
        )


def _leaves(params: Any) -> dict[str, np.ndarray]:
    return {
        leaf_name(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }


def _parsed(initial_params: str) -> tuple[Path, int | None]:
    path, _, step = initial_params.rpartition("@")
    if path and step.isdecimal() and not Path(initial_params).exists():
        return Path(path), int(step)
    return Path(initial_params), None


def _step_of(run: RunDirectory, checkpoints: Checkpoints) -> int:
    step = run.trained()["scored_step"] if run.is_finished else checkpoints.newest_intact()
    if step is None:
        raise UserError(f"{run.path} has no checkpoint yet; train it first")
    return step
