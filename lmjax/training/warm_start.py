"""A run that begins with the parameters of another one: all of them, or those that fit."""

from collections.abc import Mapping
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
from lmjax.training.fitting import OTHER_TOKENS, Vocabularies, fitting, named_leaves, renamed
from lmjax.training.leaf_groups import below_params


@dataclass(frozen=True)
class WarmStart:
    """Whose parameters a run begins with, and which of them."""

    origin: str  # RUN@STEP, and the digest of its parameters
    leaves: Mapping[str, np.ndarray]  # those that are taken, by their names in the new model
    new: tuple[str, ...]
    left: tuple[str, ...]
    grown: tuple[str, ...]  # of those taken: with entries of tokens that the other run lacks

    def merged(self, fresh: Any) -> Any:
        """The parameters to begin with; `fresh` are the new model's own, as they were drawn."""

        def one(path, drawn):
            taken = self.leaves.get(leaf_name(path))
            if taken is None:
                return drawn
            drawn = np.array(drawn)
            drawn[tuple(slice(size) for size in taken.shape)] = taken
            return drawn

        return jax.tree_util.tree_map_with_path(one, fresh)

    def remarks(self) -> list[str]:
        """What was taken, made new and left out, a line each."""
        lines = [f"begins with {len(self.leaves)} parameters of {self.origin}"]
        for what, names in (
            ("with new entries at the end, for tokens that it lacks", self.grown),
            ("drawn anew", self.new),
            ("left out", self.left),
        ):
            if names:
                lines.append(f"{len(names)} {what}: {', '.join(map(below_params, names))}")
        return lines


def warm_start(training: ConfigDict, tokenizer: Tokenizer, like: Any) -> WarmStart:
    """What `training.initial_params` names: a run directory RUN, or its checkpoint: RUN@STEP.

    Without a step, the parameters that its results are of, or of its newest checkpoint. `like` is
    the abstract tree of the new model's, boxed with logical axis names. The vocabulary may have
    grown at its end. Raises UserError if there are none, and as `fitting` does for what does not
    fit.
    """
    path, step = _parsed(training.initial_params)
    run = RunDirectory(path)
    try:
        run.config()  # raises for what is no run
        vocabularies = Vocabularies(load_tokenizer(run.tokenizer_path), tokenizer)
        checkpoints = Checkpoints(run.checkpoints, read_only=True)
        try:
            if step is None:
                step = _step_of(run, checkpoints)
            theirs = named_leaves(checkpoints.restore_params(step))
        finally:
            checkpoints.close()
        old = renamed(theirs, training.initial_paths)
        taken, new, left = fitting(training, old, like, vocabularies)
    except UserError as error:
        cure = ""
        if OTHER_TOKENS in str(error):
            cure = (
                "; or keep its tokens: data.tokenizer=file (of sources that have a tokenizer of "
                f"their own, data.source_tokenizer=file) and data.tokenizer_file={path}"
            )
        raise UserError(
            f"training.initial_params {training.initial_params!r}: {error}{cure}"
        ) from error
    wanted = {name: nn.meta.unbox(leaf) for name, leaf in named_leaves(like).items()}
    grown = [name for name in taken if old[name].shape != wanted[name].shape]
    return WarmStart(
        origin=f"{path}@{step} ({_digest(theirs)[:16]})",
        leaves={name: old[name] for name in taken},
        new=tuple(new),
        left=tuple(left),
        grown=tuple(grown),
    )


def _digest(leaves: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of parameters: their names, types, shapes and numbers."""
    digest = sha256()
    for name, leaf in sorted(leaves.items()):
        digest.update(f"{name} {leaf.dtype}{leaf.shape}\n".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


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
