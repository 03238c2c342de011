"""`lmjax evaluate`: score a trained model on a split."""

import ast

from absl import flags

from lmjax.cli.flags import define_workdir, parse, refuse_beside, required_workdir
from lmjax.errors import UserError

# Flags of what adapts to the text, and its name in results.json.
ADAPTING = {
    "cache": "unigram_cache",
    "neural_cache": "neural_cache",
    "dynamic": "dynamic_evaluation",
}
OF_DYNAMIC = ("segment", "rates", "decays", "tuning_targets")
EXAMPLE = """lmjax evaluate --workdir=runs/gpt --split=validation --context=windowed --stride=32
         lmjax evaluate --workdir=runs/gpt --task=blimp"""
OF_CORPUS = ("corpus", "files", "random_batches")
CONTEXT = ("context", "rows", "overlap", "window", "stride")  # fields of config.evaluation


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "evaluate",
        "score a trained model on a whole split, each target once",
        EXAMPLE,
        _define,
        arguments,
    )
    if values is None:
        return 0
    workdir = required_workdir(values)
    if values.random_batches < 0:
        raise UserError(f"--random_batches is {values.random_batches}; give 0 or more")
    for name in OF_DYNAMIC:
        if values[name].present and not values.dynamic:
            raise UserError(
                f"--{name} is of dynamic evaluation; add --dynamic=rms or --dynamic=sgd, or leave "
                f"--{name} out"
            )

    if values["pairs"].present and not values.task:
        raise UserError("--pairs are of a --task, such as blimp; add that or leave --pairs out")

    from rich.console import Console

    from lmjax.api import load
    from lmjax.evaluation.estimate import estimate_on_random_windows
    from lmjax.runs.files import to_json

    trained = load(workdir, values.step).with_model(_changes(values.model))
    kind = trained.objective.nats_of(trained.model)
    if values.random_batches and kind != "causal":
        raise UserError(
            f"--random_batches estimates causal nats, and this model's are {kind}; leave it out"
        )
    context = {name: values[name].value for name in CONTEXT if values[name].present}
    if values.task:
        return _judged(values, trained)
    if values.cache or values.neural_cache or values.dynamic:
        return _adapted(values, trained, context)
    if values.mc_dropout:
        return _with_dropout(values, trained, context)
    score, task = trained.evaluate_task(
        values.split,
        corpus=values.corpus,
        files=values.files,
        reader="lmjax evaluate",
        console=Console(stderr=True),
        **context,
    )
    result = {"split": values.split, **_about(trained), **score.to_json()}
    del result["segments"]  # results.json has them
    if task:
        result["task"] = task
    if values.random_batches:
        result["nats_per_token_on_random_windows"] = estimate_on_random_windows(
            trained.model,
            trained.params,
            trained.dataset(values.corpus, values.files).splits[values.split],
            trained.config,
            values.random_batches,
        )
    print(to_json(result, indent=2))
    return 0


def _judged(values: flags.FlagValues, trained) -> int:
    from rich.console import Console

    from lmjax.runs.files import to_json

    refuse_beside("--task", values, *OF_CORPUS, "split", "mc_dropout", *ADAPTING, *CONTEXT)
    measured = trained.judge(
        values.task,
        pairs=values.pairs,
        reader="lmjax evaluate --task",
        console=Console(stderr=True),
    )
    print(to_json({"task": values.task, **_about(trained), **measured}, indent=2))
    return 0


def _adapted(values: flags.FlagValues, trained, context: dict) -> int:
    from rich.console import Console

    from lmjax.runs.files import to_json

    flag = next(name for name in ADAPTING if values[name].value)
    others = [name for name in ADAPTING if name != flag]
    refuse_beside(f"--{flag}", values, *OF_CORPUS, "mc_dropout", *others)
    given = dict(
        reader=f"lmjax evaluate --{flag}", console=Console(stderr=True), split=values.split
    )
    if flag == "dynamic":
        found = trained.evaluate_dynamically(
            rule=values.dynamic,
            segment=values.segment,
            rates=_numbers("rates", values),
            decays=_numbers("decays", values),
            tuning_targets=values.tuning_targets,
            **given,
            **context,
        )
    else:
        method = {"cache": "evaluate_with_cache", "neural_cache": "evaluate_with_neural_cache"}
        found = getattr(trained, method[flag])(**given, **context)
    result = {"split": values.split, **_about(trained), **found.score.to_json()}
    del result["segments"]
    views = {view: getattr(found.unadapted, view) for view in ("perplexity", "bits_per_byte")}
    name = ADAPTING[flag]
    without = "without_cache" if name.endswith("cache") else f"without_{name}"
    print(to_json({**result, name: found.details, without: views}, indent=2))
    return 0


def _numbers(flag: str, values: flags.FlagValues) -> list[float]:
    """Those of a flag, with commas between; raises UserError for what is none."""
    try:
        return [float(part) for part in values[flag].value]
    except ValueError as error:
        raise UserError(f"--{flag}: {error}; give numbers with commas between") from error


def _with_dropout(values: flags.FlagValues, trained, context: dict) -> int:
    from rich.console import Console

    from lmjax.runs.files import to_json

    refuse_beside("--mc_dropout", values, *OF_CORPUS)
    found = trained.evaluate_with_dropout(
        values.split,
        values.mc_dropout,
        reader="lmjax evaluate --mc_dropout",
        console=Console(stderr=True),
        **context,
    )
    result = {"split": values.split, **_about(trained), **found.score.to_json()}
    del result["segments"]
    views = {view: getattr(found.plain, view) for view in ("perplexity", "bits_per_byte")}
    added = {"mc_dropout": found.details, "nats_by_passes": found.nats, "without_dropout": views}
    print(to_json({**result, **added}, indent=2))
    return 0


def _changes(given: list[str]) -> dict:
    """The fields of `--model=FIELD=VALUE`; raises UserError for one that is not written so."""
    changes = {}
    for argument in given:
        name, equals, text = argument.partition("=")
        if not name or not equals:
            raise UserError(f"--model={argument} is not written --model=FIELD=VALUE")
        try:
            changes[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):  # a text without quotes
            changes[name] = text
    return changes


def _about(trained) -> dict:
    return {"step": trained.step, **({"model": trained.changes} if trained.changes else {})}


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run")
    flags.DEFINE_string(
        "split", "validation", "train | validation | test (each read is logged)", flag_values=values
    )
    flags.DEFINE_string(
        "corpus", "", "another corpus than the model was trained on, by name", flag_values=values
    )
    flags.DEFINE_string("files", "", "of the corpus text: file, folder or glob", flag_values=values)
    flags.DEFINE_string(
        "task",
        "",
        "blimp: how often the acceptable sentence of two is the likelier one for the model",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "pairs", 0, "task: judge the first so many of each paradigm; 0: all", flag_values=values
    )
    flags.DEFINE_integer(
        "step",
        None,
        "which checkpoint; if not given, the one that training scored",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "model",
        [],
        "FIELD=VALUE of the model that is another than in training and changes no parameter, such "
        "as mixers.transformer_xl.memory=640; may be given several times",
        flag_values=values,
    )
    flags.DEFINE_string(
        "context",
        None,
        "carried | windowed | documents; as in training if not given",
        flag_values=values,
    )
    flags.DEFINE_integer("rows", None, "carried: parallel rows", flag_values=values)
    flags.DEFINE_integer(
        "overlap", None, "carried: tokens read before each row, not scored", flag_values=values
    )
    flags.DEFINE_integer(
        "window", None, "windowed: tokens of a window; 0: a row's", flag_values=values
    )
    flags.DEFINE_integer(
        "stride", None, "windowed: targets scored by each window; 0: all", flag_values=values
    )
    flags.DEFINE_boolean(
        "cache",
        False,
        "score with a cache of the last words beside the model, tuned on validation; the score is "
        "kept apart, as one adapted to the text",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "neural_cache",
        False,
        "the same with a continuous cache, of the model's hidden states",
        flag_values=values,
    )
    flags.DEFINE_string(
        "dynamic",
        "",
        "the same with parameters that take a step of gradient descent after each part of the text "
        "(dynamic evaluation), by a rule: sgd | rms; as in --dynamic=rms --rates=1e-4,3e-4 "
        "--decays=0,0.003 --tuning_targets=20000",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "segment", 20, "dynamic: targets of a part, in a carried context", flag_values=values
    )
    flags.DEFINE_list(
        "rates", [], "dynamic: learning rates to try on validation", flag_values=values
    )
    flags.DEFINE_list(
        "decays",
        [],
        "dynamic: decays to the trained parameters to try on validation",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "tuning_targets",
        0,
        "dynamic: first targets of validation that each is tried on; 0: all",
        flag_values=values,
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "mc_dropout",
        0,
        "score with the mean probabilities of so many passes with dropout (Monte Carlo dropout); "
        "the score is kept apart",
        flag_values=values,
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "random_batches",
        0,
        "also estimate the loss on so many random batches, as nanoGPT does",
        flag_values=values,
    )
