"""A trained model in as few words as it takes: `lmjax.load(workdir).generate("Once")`."""

from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from lmjax.checkpoints.store import Checkpoints
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError
from lmjax.evaluation.score import Score
from lmjax.models.registry import build_model
from lmjax.runs.devices import prepare_devices
from lmjax.runs.fields import check_fields, is_text
from lmjax.runs.python_file import load_from_file
from lmjax.runs.run_directory import RunDirectory
from lmjax.trained.parts import parameters_of
from lmjax.trained.trained import Trained
from lmjax.training.compile_cache import keep_compiled_programs


def load(workdir: Path | str, step: int | None = None) -> Trained:
    """The model of a run: of the checkpoint at `step`, or the one that its results are of.

    From now on jax keeps compiled programs in `LMJAX_CACHE_DIR`, unless it has a folder for them.
    Raises UserError if there is no such run or checkpoint.
    """
    run = RunDirectory(workdir)
    config = run.config()
    prepare_devices(config.execution.cpu_devices)
    keep_compiled_programs()
    tokenizer = load_tokenizer(run.tokenizer_path)
    model = build_model(config.model, tokenizer)
    checkpoints = Checkpoints(run.checkpoints, read_only=True)
    try:
        if step is None and run.is_finished:
            step = run.trained()["scored_step"]
        elif step is None:
            step = checkpoints.newest_intact()
        if step is None:
            raise UserError(f"{run.path} has no checkpoint yet; train it first")
        params = checkpoints.restore_params(step, parameters_of(model))
        stream = checkpoints.about(step)["stream"]
        fingerprints = {"train": stream} if stream else {}
    finally:
        checkpoints.close()
    if run.is_finished:
        kept = run.results().get("fingerprints", {})
        check_fields(kept, {...: is_text}, run.path / "results.json", "fingerprints")
        fingerprints |= kept
    return Trained(model, jax.device_put(params), tokenizer, config, step, run.path, fingerprints)


def evaluate(
    workdir: Path | str, split: str = "validation", *, step: int | None = None, **options: Any
) -> Score:
    """`load(workdir, step)`, then `Trained.evaluate` with the `options`; raises as they do."""
    return load(workdir, step).evaluate(split, **options)


def load_experiment(reference: Path | str) -> ConfigDict:
    """The configuration of an experiment file, named as for --config: `FILE.py[:argument]`.

    The file is executed. Raises UserError if it cannot be had.
    """
    return load_from_file(reference, "config", ConfigDict)
