"""A run that begins with the parameters of another one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmjax.checkpoints.store import Checkpoints
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory


@dataclass(frozen=True)
class WarmStart:
    """Parameters, and whose they are: RUN@STEP."""

    params: Any
    origin: str


def warm_start(initial_params: str, tokenizer: Tokenizer, like: Any) -> WarmStart:
    """The parameters of the run directory RUN, or of its checkpoint at a step: RUN@STEP.

    Without a step, those that its results are of, or of its newest checkpoint. Raises UserError if
    there are none, if its tokens are others, or for another name or shape than in `like`.
    """
    path, step = _parsed(initial_params)
    run = RunDirectory(path)
    try:
        run.config()  # raises for what is no run
        if load_tokenizer(run.tokenizer_path).to_json() != tokenizer.to_json():
            raise UserError(f"{path} has another vocabulary")
        checkpoints = Checkpoints(run.checkpoints, read_only=True)
        try:
            if step is None:
                step = _step_of(run, checkpoints)
            params = checkpoints.restore_params(step, like)
        finally:
            checkpoints.close()
    except UserError as error:
        raise UserError(f"training.initial_params {initial_params!r}: {error}") from error
    return WarmStart(params, f"{path}@{step}")


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
