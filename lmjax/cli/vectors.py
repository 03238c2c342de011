"""`lmjax vectors`: save a trained model's vectors of words, look at them, or test them."""

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir
from lmjax.errors import UserError, nearest

ACTIONS = ("evaluate", "export", "neighbours")
EXAMPLE = """lmjax vectors evaluate --workdir=runs/skip_gram
         lmjax vectors export --workdir=runs/skip_gram --output=vectors.txt.gz
         lmjax vectors neighbours --file=glove.6B.100d.txt --words=king,river"""


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    action = next((argument for argument in arguments[:1] if not argument.startswith("-")), "")
    values = parse(
        "vectors",
        "vectors of words, of a trained model or of a file: evaluate tests them by word "
        "similarities and analogies, export saves them as text, neighbours shows the nearest words",
        EXAMPLE,
        _define,
        arguments[1:] if action else arguments,
    )
    if values is None:
        return 0
    if action not in ACTIONS:
        raise UserError(
            f"say what to do after 'lmjax vectors', not {action!r}: {nearest(action, ACTIONS)}"
        )
    if action == "export":
        return _export(values)
    if bool(values.workdir) == bool(values.file):
        raise UserError("give --workdir=RUN or --file=FILE, one of them: whose vectors are meant")
    return _evaluate(values) if action == "evaluate" else _neighbours(values)


def _export(values: flags.FlagValues) -> int:
    from lmjax.data.word_vectors import write_word_vectors

    if not values.output:
        raise UserError("--output=FILE is missing; it names the file to write, .gz compresses it")
    vectors = _of_run(values)
    write_word_vectors(values.output, vectors)
    print(f"{len(vectors.words):,} vectors of width {vectors.width} are in {values.output}")
    return 0


def _evaluate(values: flags.FlagValues) -> int:
    from lmjax.evaluation.word_vectors import evaluate_word_vectors
    from lmjax.runs.files import to_json

    if values.file:
        print(to_json(evaluate_word_vectors(_of_file(values)), indent=2))
        return 0

    from lmjax.api import load

    print(to_json(load(values.workdir, values.step).evaluate_word_vectors(), indent=2))
    return 0


def _neighbours(values: flags.FlagValues) -> int:
    from rich.console import Console
    from rich.table import Table

    from lmjax.evaluation.word_vectors import nearest_neighbours

    if not values.words:
        raise UserError("--words=WORD,WORD is missing; it names the words to look at")
    if values.count < 1:
        raise UserError(f"--count={values.count}: give how many neighbours to show, 1 or more")
    vectors = _of_file(values) if values.file else _of_run(values)
    table = Table("word", "nearest words, with their cosine")
    for word in values.words:
        found = nearest_neighbours(vectors, word, values.count)
        table.add_row(word, ", ".join(f"{other} {cosine:.2f}" for other, cosine in found))
    Console().print(table)
    return 0


def _of_file(values: flags.FlagValues):
    from lmjax.data.word_vectors import read_word_vectors

    return read_word_vectors(values.file)


def _of_run(values: flags.FlagValues):
    from lmjax.api import load

    return load(required_workdir(values), values.step).word_vectors()


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run whose vectors are meant")
    flags.DEFINE_integer(
        "step", None, "step of the checkpoint; if not given, the one scored", flag_values=values
    )
    flags.DEFINE_string(
        "file", None, "file of vectors in word2vec's or GloVe's text format", flag_values=values
    )
    flags.DEFINE_string("output", None, "export: the file to write", flag_values=values)
    flags.DEFINE_list("words", [], "neighbours: the words, with commas between", flag_values=values)
    flags.DEFINE_integer("count", 10, "neighbours: how many of each word", flag_values=values)
