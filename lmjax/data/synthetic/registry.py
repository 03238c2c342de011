"""From `data.task` and its options to the generated task, by name."""

import importlib
import math
import reprlib
from dataclasses import fields

from lmjax.data.synthetic.task import Task
from lmjax.errors import UserError, nearest

MOST_SYMBOLS = 1 << 24  # for each of which a model has an embedding
HERE = "lmjax.data.synthetic."
TASKS = {
    "mqar": "mqar:MultiQueryAssociativeRecall",
    "selective_copying": "recall:SelectiveCopying",
    "induction": "recall:Induction",
    "in_context_ngram": "languages:InContextNgram",
    "dyck": "languages:Dyck",
    "even_pairs": "regular:EvenPairs",
    "modular_arithmetic": "regular:ModularArithmetic",
    "parity_check": "regular:ParityCheck",
    "cycle_navigation": "regular:CycleNavigation",
    "stack_manipulation": "context_free:StackManipulation",
    "reverse_string": "context_free:ReverseString",
    "modular_arithmetic_brackets": "context_free:ModularArithmeticBrackets",
    "solve_equation": "context_free:SolveEquation",
    "duplicate_string": "context_sensitive:DuplicateString",
    "missing_duplicate": "context_sensitive:MissingDuplicate",
    "odds_first": "context_sensitive:OddsFirst",
    "binary_addition": "context_sensitive:BinaryAddition",
    "binary_multiplication": "context_sensitive:BinaryMultiplication",
    "compute_sqrt": "context_sensitive:ComputeSqrt",
    "bucket_sort": "context_sensitive:BucketSort",
}


def make_task(data) -> Task:
    """The task that `config.data` names.

    Raises UserError for an unknown task or option, one of another type, and values out of range.
    """
    if data.task not in TASKS:
        raise UserError(f"unknown data.task {data.task!r}: {nearest(data.task, TASKS)}")
    module, attribute = TASKS[data.task].split(":")
    kind = getattr(importlib.import_module(HERE + module), attribute)
    known = {field.name: field.type for field in fields(kind)}
    for option, value in data.task_options.items():
        if option not in known:
            raise UserError(
                f"task {data.task!r} has no option {option!r}: {nearest(option, known)}"
            )
        expected = known[option]
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise UserError(
                f"option {option!r} of task {data.task!r} is {reprlib.repr(value)}; "
                f"give a value of type {expected.__name__}"
            )
        if expected is float and not math.isfinite(value):
            raise UserError(f"option {option!r} of task {data.task!r} is {value}; give a number")
    task = kind(**dict(data.task_options))
    if task.vocabulary_size > MOST_SYMBOLS:
        raise UserError(
            f"task {data.task!r} has {task.vocabulary_size:,} symbols; give at most "
            f"{MOST_SYMBOLS:,}"
        )
    task.check(data.length)
    return task
