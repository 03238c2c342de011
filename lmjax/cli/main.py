"""`lmjax VERB ...`: finds the verb's module, runs it, and turns mistakes into one line.

Nothing heavy is imported before the verb is known.
"""

import atexit
import gc
import importlib
import os
import sys
import time

import lmjax
from lmjax.cli.quiet import quieten
from lmjax.errors import Stopped, UserError, nearest
from lmjax.runs.signals import signals_end_the_process

BEGUN = time.monotonic()  # but for the start of Python itself
VERBS = {
    "train": "train a model, or go on training it",
    "evaluate": "score a trained model on a split",
    "sample": "continue a prompt with a trained model",
    "predict": "answer to the lines of a file or a pipe with a trained model",
    "prompt": "label texts by what a trained model finds likeliest after a prompt",
    "translate": "translate a split or lines with a trained model",
    "similar": "find texts that share what a query says, or near duplicates",
    "study": "compare models: train every arm, then write a report",
    "reproduce": "run what was published, and say whether it came out",
    "work": "train runs that a study has prepared, as its processes and Slurm do",
    "report": "write the report of a study, a run or a folder of runs",
    "data": "list, prepare or inspect corpora",
    "task": "list the tasks that models are scored on, inspect one, or score its baselines",
    "vectors": "save, look at or test vectors of words",
    "import": "make a run directory of a Hugging Face folder",
    "export": "make a Hugging Face folder of a trained model",
    "bench": "measure speed and memory, beside other programs",
    "doctor": "check versions, devices, folders, data and arithmetic; replay a bad step",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    0 well, 1 a check failed, 2 a user's mistake, 69 a device failed, 75 asked to stop and saved,
    130 interrupted and, if it trained, saved.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        from lmjax.runs.environment import versions

        print("\n".join(f"{name} {version}" for name, version in versions().items()))
        return 0
    try:
        verb, rest = arguments[0], arguments[1:]
        if verb not in VERBS:
            raise UserError(f"unknown verb {verb!r}: {nearest(verb, VERBS)}")
        quieten()
        return importlib.import_module(f"lmjax.cli.{verb}").main(rest)
    except UserError as error:
        from lmjax.runs.secrets import redact

        print(f"error: {redact(str(error))}", file=sys.stderr)
        return error.exit_code
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    except BrokenPipeError:
        # The reader of our output went away; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run() -> None:
    """Runs the command line as a program of its own, which signals end."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character is shown its escape
        stream.reconfigure(errors="backslashreplace")
    with signals_end_the_process():
        _collect_rarely()
        sys.exit(main())


def _collect_rarely() -> None:
    """Lets Python look for garbage less often, and not once more when the process ends.

    The objects of the modules and of what jax traces are many and stay: to look through them again
    and again took a fifth of the time that imports take, and a tenth of a second at the end. A
    study has it looked for after each run.
    """
    gc.set_threshold(50_000, 3, 3)
    atexit.register(gc.freeze)


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {text}" for verb, text in VERBS.items())
    return (
        f"lmjax {lmjax.__version__}: language models of every family, compared fairly\n\n"
        f"usage: lmjax VERB [--help] ...\n\n{verbs}\n\n"
        "example: lmjax train --config=experiments/shakespeare/nanogpt_cpu.py --workdir=runs/gpt"
    )
