"""`lmjax translate`: translate a split of the corpus, or lines, with a trained model."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir
from lmjax.errors import UserError, writing

EXAMPLE = """lmjax translate --workdir=runs/attention --split=test --beam=5 --pictures=3
         lmjax translate --workdir=runs/attention --input=letters.de --references=letters.en
         echo 'Ein Hund rennt .' | lmjax translate --workdir=runs/attention --input=-"""


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "translate",
        "translate a split of the run's corpus, with BLEU and chrF, or the lines of a file",
        EXAMPLE,
        _define,
        arguments,
    )
    if values is None:
        return 0
    workdir = required_workdir(values)
    if values.references and not values.input:
        raise UserError("--references are of the lines of --input; a split has its own")
    if values.references == values.input == "-":
        raise UserError("--input and --references are both piped in; give a file for one of them")
    if values.input and values["split"].present:
        raise UserError("give --split=SPLIT or --input=FILE, one of them: what is translated")
    for name in ("input", "references"):
        read = values[name].value
        if read and values.output and Path(read).resolve() == Path(values.output).resolve():
            raise UserError(f"--output would overwrite --{name}, {read}; give another file")
    for name in ("samples", "pictures"):
        if values[name].value < 0:
            raise UserError(f"--{name}={values[name].value}: give how many to show, 0 or more")
        if values.input and values[name].present:
            raise UserError(f"--{name} is of a split's translations; leave it or --input out")

    from lmjax.generation.beam import Beam

    beam = Beam(
        width=values.beam,
        n_best=values.nbest,
        normalization=values.normalization,
        length_penalty=values.length_penalty,
        min_length=values.min_length,
        no_repeat_ngram=values.no_repeat_ngram,
    )
    options = {"longest": values.max_length, "prefix": values.prefix, "rows": values.batch_size}
    sources = _lines(values.input) if values.input else None
    references = _references(values.references, len(sources)) if values.references else None

    from lmjax.api import load

    trained = load(workdir, values.step)
    if sources is not None:
        return _translate_lines(values, trained, sources, references, beam, options)
    return _translate_split(values, trained, beam, options)


def _references(name: str, count: int) -> list[str]:
    """The lines of a file that are to stand beside `count` translations."""
    references = _lines(name)
    if len(references) != count:
        raise UserError(
            f"{name} has {len(references):,} lines and --input {count:,}; give one for each source"
        )
    return references


def _translate_lines(
    values, trained, sources: list[str], references: list[str] | None, beam, options
) -> int:
    from rich.console import Console

    from lmjax.runs.files import to_json
    from lmjax.runs.terminal import progress_bar
    from lmjax.trained.translating import decoding_by

    with progress_bar(Console(stderr=True), "lines", len(sources)) as advance:
        found = trained.translations(sources, beam, on_translated=advance, **options)
    text = _written(found, beam.n_best)
    if values.output:
        _write(values.output, text)
        print(f"translations of {len(found):,} lines are in {values.output}")
    else:
        sys.stdout.write(text)
    if references is not None:
        measured = trained.measure_translations([row[0].text for row in found], references)
        decoding = decoding_by(beam, options)
        print(to_json({"decoding": decoding, **measured}, indent=2), file=sys.stderr)
    return 0


def _translate_split(values, trained, beam, options: dict[str, Any]) -> int:
    from rich.console import Console

    from lmjax.runs.files import to_json
    from lmjax.runs.terminal import printable

    console = Console(stderr=True)
    split = values.split
    if values.pictures:
        from lmjax.studies.alignments import check_attends

        check_attends(trained.model, trained.params)
    done = trained.translate_split(
        split, beam, reader="lmjax translate", console=console, **options
    )
    output = values.output or trained.workdir / "translations" / f"{split}.txt"
    _write(output, _written(done.translations, beam.n_best))
    if values.samples:
        print(printable(done.sample(values.samples)) + "\n", file=sys.stderr)
    print(f"translations of {split} are in {output}", file=sys.stderr)
    if values.pictures:
        _draw(trained, done, values.pictures, Path(output))
    result = {"split": split, "step": trained.step, "decoding": done.decoding, **done.measured}
    print(to_json(result, indent=2))
    return 0


def _draw(trained, done, count: int, output: Path) -> None:
    """Draws so many alignments beside the translations, spread evenly over the split."""
    from lmjax.studies.alignments import align, write_alignment

    size = len(done.documents)
    count = min(count, size)
    for place in (size * number // count for number in range(count)):
        source, tokens = done.documents[place].source, done.translations[place][0].tokens
        found = align(trained.model, trained.params, trained.tokenizer, source, tokens)
        path = output.with_name(f"{output.stem}_{place + 1}.svg")
        with writing(path):
            write_alignment(found, path)
        print(f"what translation {place + 1} attended to is in {path}", file=sys.stderr)


def _lines(name: str) -> list[str]:
    """The lines of a file, or of what is piped in for `-`."""
    from collections import Counter

    from lmjax.data.reading import decode, read_bytes

    content = sys.stdin.buffer.read() if name == "-" else read_bytes(Path(name))
    text = decode(content, name, "strict", Counter())
    return text.removesuffix("\n").split("\n") if text else []


def _written(found: Sequence[Sequence[Any]], n_best: int) -> str:
    """A line for each source; of several, `number ||| text ||| log_prob ||| score` for each."""
    if n_best == 1:
        return "".join(f"{row[0].text}\n" for row in found)
    return "".join(
        f"{number} ||| {each.text} ||| {each.log_prob:.4f} ||| {each.score:.4f}\n"
        for number, row in enumerate(found)
        for each in row
    )


def _write(name: str | Path, text: str) -> None:
    from lmjax.runs.files import write_atomically

    path = Path(name)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run")
    for name, default, text in (
        ("split", "test", "train | validation | test (each read is logged)"),
        ("input", None, "file of lines to translate in place of a split, .gz or not; -: piped in"),
        ("references", None, "file of lines, one for each of --input's, for BLEU and chrF"),
        ("output", None, "file to write; a split's is else in the run's translations/"),
        ("normalization", "wu", "of scores by length: wu | division"),
        ("prefix", "", "text that every translation begins with"),
    ):
        flags.DEFINE_string(name, default, text, flag_values=values)
    for name, default, text in (
        ("beam", 5, "hypotheses kept open; 1: greedy"),
        ("nbest", 1, "translations written of each source, at most as many as the beam"),
        ("min_length", 0, "fewest tokens of a translation, <eos> counted"),
        ("max_length", 0, "most tokens of one; 0: twice those of its source and 10 more"),
        ("no_repeat_ngram", 0, "no n-gram of so many tokens comes twice in one; 0: any may"),
        ("batch_size", 32, "most sources that are translated at once"),
        ("samples", 3, "translations of a split to show"),
        ("pictures", 0, "translations of a split whose attention to the source is drawn, as SVG"),
        ("step", None, "step of the checkpoint to load; if not given, the one that was scored"),
    ):
        flags.DEFINE_integer(name, default, text, flag_values=values)
    flags.DEFINE_float(
        "length_penalty",
        0.6,
        "power of the length that log-probabilities are divided by; 0: none",
        flag_values=values,
    )
