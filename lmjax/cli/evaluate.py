"""`lmjax evaluate`: score a trained model on a split."""

import json

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir
from lmjax.errors import UserError, nearest


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "evaluate",
        "score a trained model on a whole split, each target once",
        "lmjax evaluate --workdir=runs/gpt --split=validation --context=windowed --stride=32",
        _define,
        arguments,
    )
    if values is None:
        return 0
    workdir = required_workdir(values)

    from rich.console import Console

    from lmjax.api import load
    from lmjax.data.dataset import open_dataset
    from lmjax.evaluation.estimate import estimate_on_random_windows
    from lmjax.evaluation.scoring import context_policy, score_stream
    from lmjax.runs.run_directory import RunDirectory
    from lmjax.runs.terminal import progress_bar
    from lmjax.training.run import check_tokenizer_of

    trained = load(workdir, values.step)
    config = trained.config
    with config.unlocked():
        for field in ("context", "rows", "window", "stride"):
            if values[field].present:
                config.evaluation[field] = values[field].value
    policy = context_policy(config, trained.model)
    dataset, run = open_dataset(config.data), RunDirectory(workdir)
    check_tokenizer_of(run, dataset)
    splits = dataset.splits
    if values.split not in splits:
        raise UserError(
            f"{config.data.corpus} has no split {values.split!r}: {nearest(values.split, splits)}"
        )
    stream = splits[values.split]
    run.log(f"{values.split} is read to score step {trained.step}: {policy.name}")
    batch_size = config.data.batch_size
    with progress_bar(Console(stderr=True), values.split, stream.counts.tokens) as advance:
        score = score_stream(
            trained.model, trained.params, stream, policy, batch_size, on_scored=advance
        )
    result = {"split": values.split, "step": trained.step, **score.to_json()}
    if values.random_batches:
        estimate = estimate_on_random_windows(
            trained.model, trained.params, stream, config, values.random_batches
        )
        result["nats_per_token_on_random_windows"] = estimate
    print(json.dumps(result, indent=2))
    return 0


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run")
    flags.DEFINE_string("split", "validation", "train | validation | test", flag_values=values)
    flags.DEFINE_integer(
        "step", None, "of the checkpoint; the scored one if not given", flag_values=values
    )
    flags.DEFINE_string(
        "context", None, "carried | windowed; as in training if not given", flag_values=values
    )
    flags.DEFINE_integer("rows", None, "carried: parallel rows", flag_values=values)
    flags.DEFINE_integer("window", None, "windowed: tokens of a window", flag_values=values)
    flags.DEFINE_integer(
        "stride", None, "windowed: targets scored by each window", flag_values=values
    )
    flags.DEFINE_integer(
        "random_batches",
        0,
        "also estimate the loss on so many random batches, as nanoGPT does",
        flag_values=values,
    )
