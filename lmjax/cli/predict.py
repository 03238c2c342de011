"""`lmjax predict`: answer to the lines of a file or a pipe with a trained model."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir
from lmjax.errors import UserError

EXAMPLE = """lmjax predict --workdir=runs/trec --input=questions.txt --output=answers.jsonl
         echo 'Who wrote Hamlet ?' | lmjax predict --workdir=runs/trec --input=-
         lmjax predict --workdir=runs/sts --input=pairs.jsonl --source=first --second=other"""
JSON_LINES = (".jsonl", ".jsonl.gz")


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "predict",
        "one JSON object for each line: a label with the probability of each, a number, a text, or "
        "the nats of the line, as the model was trained for",
        EXAMPLE,
        _define,
        arguments,
    )
    if values is None:
        return 0
    workdir = required_workdir(values)
    if not values.input:
        raise UserError("--input=FILE is missing; give a file of lines, or - for what is piped in")
    if values.output and Path(values.input).resolve() == Path(values.output).resolve():
        raise UserError(f"--output would overwrite --input, {values.input}; give another file")
    if values.beam < 0:
        raise UserError(f"--beam={values.beam}: give a width of 1 or more, or 0 for the usual one")

    from lmjax.api import load
    from lmjax.data.lines import PIPE, Fields, count_lines, read_lines

    is_json = values.jsonl or values.input.endswith(JSON_LINES)
    for name in ("source", "second"):
        if values[name].present and not is_json:
            raise UserError(f"--{name} names a field of JSON lines; give a .jsonl file, or --jsonl")
    total = None if values.input == PIPE else count_lines(values.input)
    fields = Fields(values.source, values.second) if is_json else None
    trained = load(workdir, values.step)
    lines = read_lines(values.input, fields)
    if not values.output:
        return _predict(values, trained, lines, total, None)

    from lmjax.runs.answer_file import AnswerFile

    about = {"workdir": str(workdir.resolve()), **trained.made_with(values.beam)}
    return _predict(values, trained, lines, total, AnswerFile(Path(values.output), about))


def _predict(values, trained, lines: Iterator, total: int | None, kept: Any) -> int:
    import time

    from rich.console import Console

    from lmjax.data.lines import PIPE, as_they_come, in_groups
    from lmjax.runs.answer_file import write_whole
    from lmjax.runs.files import to_json
    from lmjax.runs.signals import StopSignals
    from lmjax.runs.terminal import progress_bar

    before, errors = _skip(lines, kept) if kept else (0, 0)
    answered = 0
    if before:
        print(f"{before:,} lines are answered in {kept.path}; goes on after them", file=sys.stderr)
    groups = (as_they_come if values.input == PIPE else in_groups)(lines, trained.texts_at_once)
    begin = time.monotonic()
    with (
        StopSignals() as signals,
        progress_bar(Console(stderr=True), "lines", total, before) as advance,
    ):
        # The first lines that a pipe gives may be one alone, from which nothing follows.
        has_begun = before > 0 or values.input == PIPE
        found = trained.predict_groups(groups, beam=values.beam, has_begun=has_begun)
        for rows in found:
            with signals.deferred():  # so that no line is left half written
                if kept:
                    kept.add(rows)
                else:
                    write_whole(1, "".join(to_json(row) + "\n" for row in rows))
            answered += len(rows)
            errors += sum("error" in row for row in rows)
            advance(len(rows))
    seconds = max(time.monotonic() - begin, 1e-9)
    where = f" in {kept.path}" if kept else ""
    print(
        f"{before + answered:,} lines are answered{where}; {answered:,} of them now, in "
        f"{seconds:.1f} s ({answered / seconds:,.0f} a second)",
        file=sys.stderr,
    )
    if errors:
        print(f"{errors:,} of them could not be: they have an error instead", file=sys.stderr)
    return 1 if errors else 0


def _skip(lines: Iterator, kept: Any) -> tuple[int, int]:
    """Leaves the lines out that are answered; how many, and how many of those with an error.

    Raises UserError if the answers are to other lines.
    """
    count = errors = 0
    for count, answer in enumerate(kept.answers(), start=1):
        line = next(lines, None)
        if line is None:
            raise UserError(
                f"{kept.path} has an answer to line {count} and the input only {count - 1} lines; "
                "delete it or give another --output"
            )
        if (answer.get("name"), answer.get("source"), answer.get("second")) != (
            line.name,
            line.source,
            line.second,
        ):
            raise UserError(
                f"line {count} of {kept.path} is no answer to line {count} of the input; delete it "
                "or give another --output"
            )
        errors += "error" in answer
    return count, errors


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run")
    for name, default, text in (
        ("input", None, "file of lines, .gz or not, or of JSON lines, .jsonl; -: piped in"),
        ("output", None, "file to write, gone on with if it is broken off; if not given, printed"),
        ("source", "source", "JSON lines: the field of the text"),
        ("second", "second", "JSON lines: the field of the second text of a pair"),
    ):
        flags.DEFINE_string(name, default, text, flag_values=values)
    flags.DEFINE_boolean("jsonl", False, "the input is JSON lines", flag_values=values)
    for name, default, text in (
        ("beam", 0, "texts that are written: width of the search; 0: the usual one"),
        ("step", None, "step of the checkpoint to load; if not given, the one that was scored"),
    ):
        flags.DEFINE_integer(name, default, text, flag_values=values)
