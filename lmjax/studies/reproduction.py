"""Runs what a claim says, or takes in what was run elsewhere, and measures as was published."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console

from lmjax.api import load, load_experiment
from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.models.registry import model_class
from lmjax.runs.files import plain, read_json
from lmjax.runs.run_directory import HARMLESS, RunDirectory, differences, listed, storable
from lmjax.studies.claim_measures import measure
from lmjax.studies.claim_results import ClaimResult, Part
from lmjax.studies.claims import Claim
from lmjax.training.run import train

# What may differ between runs of an experiment; not the checkpoint, which decides what is scored.
ALIKE = (*(field for field in HARMLESS if field != "evaluation.checkpoint"), "seed")
RESULTS = "experiments/results/"
PACKAGES = ("lmjax", "python", "jax", "flax", "numpy", "sacrebleu")


def folder_of(claim: Claim) -> str:
    """The folder for runs of a claim's experiment: one for all claims that share it."""
    file, _, argument = claim.experiment.removeprefix("experiments/").partition(":")
    return re.sub(r"\W+", "-", f"{file.removesuffix('.py')}:{argument}").strip("-")


def reproduce(claim: Claim, seeds: int, workdir: Path, root: Path, console: Console) -> ClaimResult:
    """Trains a claim's experiment with seeds 0 to `seeds` - 1, each in a folder, and measures it.

    What is finished is skipped, the rest resumed. `root` is the folder that experiments are named
    from. A model that is counted draws nothing at random: one seed is all. Raises as `train`.
    """
    config = _experiment(claim, root)
    if model_class(config.model.name).is_counted:
        seeds = 1
    paths = [workdir / f"seed_{seed}" for seed in range(seeds)]
    for seed, path in enumerate(paths):
        config = config.copy_and_resolve_references()
        config.seed = seed
        train(config, path, console)
    command = f"lmjax reproduce {claim.id} --seeds={seeds}"
    return _measured(claim, paths, command, console)


def take_in(claim: Claim, runs: Sequence[Path], root: Path, console: Console) -> ClaimResult:
    """Measures runs that were trained elsewhere.

    Raises UserError for a run that isn't finished, repeats a seed, or whose configuration is not
    that of the claim's experiment but for the seed. A field that came later than the run counts as
    having its default.
    """
    wanted = storable(_experiment(claim, root))
    seeds: dict[int, Path] = {}
    for path in runs:
        RunDirectory(path).results()  # which says if there are none
        kept = read_json(path / "config.json")
        defaults = plain(base_config(kept["model"]["name"]).to_dict())
        if changed := differences(_filled(kept, defaults), wanted, ALIKE):
            raise UserError(
                f"{path} is no run of {claim.experiment}; give one that is{listed(changed)}"
            )
        if (seed := kept["seed"]) in seeds:
            raise UserError(f"{path} and {seeds[seed]} have the same seed {seed}; give one of them")
        seeds[seed] = path
    command = f"lmjax train --config={claim.experiment} --config.seed=SEED"
    return _measured(claim, [seeds[seed] for seed in sorted(seeds)], command, console)


def _experiment(claim: Claim, root: Path) -> ConfigDict:
    return load_experiment(str(root / claim.experiment))


def _changed(source: Mapping[str, Any]) -> list[str]:
    """The files that differ from the commit, without results of claims, which change no run."""
    changed = [*re.findall(r"^diff --git a/.* b/(.*)$", source["diff"], re.MULTILINE)]
    changed += source["untracked"]
    return [name for name in changed if not name.startswith(RESULTS)]


def _filled(kept: Any, defaults: Any) -> Any:
    if not isinstance(kept, Mapping) or not isinstance(defaults, Mapping):
        return kept
    return {**defaults, **{name: _filled(item, defaults.get(name)) for name, item in kept.items()}}


def _measured(claim: Claim, paths: Sequence[Path], command: str, console: Console) -> ClaimResult:
    """The result of finished runs, of each seed one."""
    result = None
    for path in paths:
        new = replace(_measured_run(claim, path, console), command=command)
        result = result.joined_with(new) if result else new
    return result


def _measured_run(claim: Claim, path: Path, console: Console) -> ClaimResult:
    trained = load(path)
    seed = str(trained.config.seed)
    parts, details = measure(claim, trained, console)
    environment = read_json(path / "environment.json")
    results = RunDirectory(path).results()
    source = environment["source"] or {}
    about = {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "minutes": round(results["training"]["seconds"] / 60, 2),
        "commit": source.get("commit"),
        "dirty": bool(_changed(source)) if source else None,
        "devices": environment["devices"],
        "processor": environment["machine"].get("processor"),
        "cores": environment["machine"].get("cores"),
        "versions": {name: environment["versions"].get(name) for name in PACKAGES},
        **details,
    }
    return ClaimResult(
        claim=claim.id,
        experiment=claim.experiment,
        metric=claim.metric,
        corpus=claim.corpus,
        parts={name: Part({seed: value}, *key) for name, (value, key) in parts.items()},
        parameters=results["parameters"]["total"],
        runs={seed: about},
    )
