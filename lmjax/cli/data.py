"""`lmjax data`: list the corpora, prepare one, or look into one."""

from absl import flags

from lmjax.cli.flags import parse, refuse_beside
from lmjax.errors import UserError, nearest

ACTIONS = ("list", "prepare", "inspect")
EXAMPLE = """lmjax data list
         lmjax data prepare ptb --tokenizer=word
         lmjax data inspect text --files='notes/**/*.md' --cleaning=nfc,whitespace
         lmjax data inspect multi30k --direction=de-en --batching=documents --document_end"""
FIELDS = {
    "files": "file, folder or glob of .txt, .md, .jsonl (.gz) for the corpus text; for parallel "
    "the targets, or a .tsv or .jsonl of both sides; for labelled a .csv, .tsv or .jsonl",
    "validation_files": "of the corpus labelled: validation, if it is not to be split off files",
    "test_files": "of the corpus labelled: test",
    "text_column": "of the corpus labelled: the name of the column of texts",
    "second_column": "of the corpus labelled: that of second texts, if they are pairs",
    "label_column": "of the corpus labelled: that of labels",
    "faulty_rows": "of the corpus labelled: strict, or skip those without a label or a text",
    "source_files": "the sources, a line each, for the corpus parallel",
    "direction": "of a corpus of pairs, such as de-en",
    "cleaning": "steps in order, with commas between",
    "invalid_utf8": "strict, replace or skip",
    "tokenizer": "byte, character, word, bpe, label, span, file or ids (synthetic)",
    "tokenizer_file": "tokenizer.json, vocab.txt or encoder.json (beside vocab.bpe), or its folder",
    "tokenizer_lowercase": "whether a vocab.txt is of lower-case text",
    "vocabulary_size": "most entries, for word and bpe; 0: all words, 1024 for bpe",
    "source_tokenizer": "of a corpus of pairs; empty: one tokenizer for both sides",
    "source_vocabulary_size": "as vocabulary_size, of a source_tokenizer",
    "document_end": "<eos> after each document",
    "special_tokens": "ids behind the vocabulary: mask, class, separator, padding, sentinel_0, ...",
    "task": "of the corpus synthetic, such as mqar",
    "batching": "stream, windows, random_windows, packed, documents, examples: what inspect shows",
    "batch_size": "rows of the batch that inspect shows",
    "length": "tokens of each row; documents: the most of one",
    "source_length": "documents: the most tokens of a source",
    "source_overlap": "span: tokens that two windows of a long text share",
    "cut_sources": "tokens of which longer sources keep the first; 0: they are whole",
}
ROWS_SHOWN, TOKENS_SHOWN = 4, 24


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    named = [argument for argument in arguments[:2] if not argument.startswith("-")]
    values = parse(
        "data",
        "list the corpora, prepare one, or look into one: its counts, tokens and batches",
        EXAMPLE,
        _define,
        arguments[len(named) :],
    )
    if values is None:
        return 0
    action, corpus = [*named, "", ""][:2]
    if action not in ACTIONS:
        raise UserError(
            f"say what to do after 'lmjax data', not {action!r}: {nearest(action, ACTIONS)}"
        )

    from rich.console import Console

    console = Console()
    if action == "list":
        if corpus:
            raise UserError(f"'lmjax data list' shows all; leave {corpus!r} out, or inspect it")
        refuse_beside("'list'", values, *FIELDS)
        console.print(_corpora())
        return 0
    if not corpus:
        raise UserError(
            f"name the corpus: lmjax data {action} CORPUS; 'lmjax data list' shows them"
        )

    from lmjax.config import base_config
    from lmjax.data.dataset import open_dataset
    from lmjax.runs.fields import check_values

    config = base_config()
    config.data.corpus = corpus
    for field in FIELDS:
        value = values[field].value
        config.data[field] = tuple(value) if isinstance(value, list) else value
    check_values(config)
    dataset = open_dataset(config.data)
    console.print(_splits(dataset))
    for line in _notes(dataset):
        console.print(line, highlight=False, soft_wrap=True)
    if dataset.folder:
        console.print(f"in {dataset.folder}", highlight=False, soft_wrap=True)
    if action == "inspect":
        console.print(_batch(dataset, config))
    return 0


def _corpora():
    from rich.table import Table

    from lmjax.data.corpora import CORPORA

    table = Table("corpus", "what it is", "where its files are")
    for name, source in CORPORA.items():
        places = [str(file.local() or file.url) for file in source.files]
        table.add_row(name, source.description, "\n".join(places))
    return table


def _splits(dataset):
    from dataclasses import asdict

    from rich.table import Table

    table = Table(title=dataset.tokenizer.description)
    table.add_column("", no_wrap=True)
    streams = dict(dataset.splits)
    for split, stream in dataset.splits.items():
        if stream.source:
            streams[f"its sources, {split}"] = stream.source
    for name in streams:
        table.add_column(name, justify="right")
    counts = [asdict(stream.counts) for stream in streams.values()]
    for name in counts[0]:
        table.add_row(name.replace("_", " "), *(f"{of_split[name]:,}" for of_split in counts))
    return table


def _notes(dataset) -> list[str]:
    """Fingerprints, special tokens, and what reading and cleaning did, a line each."""
    notes = [
        f"{split}: text-tokens {stream.fingerprint}" for split, stream in dataset.splits.items()
    ]
    tokenizer = dataset.tokenizer
    sides = {"special tokens": tokenizer.special_ids}
    if tokenizer.source is not tokenizer:
        sides["special tokens of the sources"] = tokenizer.source.special_ids
    for side, special in sides.items():
        if special:
            named = ", ".join(f"{role} {i}" for role, i in special.items())
            notes.append(f"{side}: {named}")
    read = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in dataset.reading.items())
    return [*notes, f"read: {read}"] + [
        f"{report.step}: {report.documents_changed:,} of {report.documents_before:,} documents "
        f"changed, {report.documents_before - report.documents_after:,} of them removed; "
        f"{report.characters_before:,} characters became {report.characters_after:,}"
        for report in dataset.cleaning
    ]


def _batch(dataset, config):
    import numpy as np
    from rich.table import Table
    from rich.text import Text

    from lmjax.data.training_batches import make_batching

    stream, data, tokenizer = dataset.splits["train"], config.data, dataset.tokenizer
    batching = make_batching(stream, data, config.seed)
    batch = batching.batch(0)
    columns = [
        ("the model reads", tokenizer, batch.tokens_BT, batch.weights_BT),
        ("and is to predict", tokenizer, batch.targets_BT, batch.weights_BT),
    ]
    if batch.source_BS is not None:
        source = ("the source", tokenizer.source, batch.source_BS, batch.source_weights_BS)
        columns.insert(0, source)
    if data.batching == "examples":  # what is read up to the last answer
        name, reader, ids_BT, weights_BT = columns[0]
        read_BT = np.maximum.accumulate(weights_BT[:, ::-1], axis=1)[:, ::-1]
        columns[0] = (name, reader, ids_BT, read_BT)
    title = f"first tokens of the first batch, {data.batching}"
    notes = [f"{batching.steps_per_epoch:,} batches an epoch", *batching.remarks()]
    table = Table("row", *(name for name, *_ in columns), title="; ".join([title, *notes]))
    for row in range(min(ROWS_SHOWN, data.batch_size)):
        shown = (
            (reader, ids_BT[row][weights_BT[row] > 0][:TOKENS_SHOWN])
            for _, reader, ids_BT, weights_BT in columns
        )
        table.add_row(
            str(row), *(Text(f"{reader.decode(ids)!r}\n{ids.tolist()}") for reader, ids in shown)
        )
    return table


def _define(values: flags.FlagValues):
    from lmjax.config import base_config

    data = base_config().data
    for field, text in FIELDS.items():
        default = data[field]
        if isinstance(default, bool):
            flags.DEFINE_boolean(field, default, text, flag_values=values)
        elif isinstance(default, int):
            flags.DEFINE_integer(field, default, text, flag_values=values)
        elif isinstance(default, tuple):
            flags.DEFINE_list(field, list(default), text, flag_values=values)
        else:
            flags.DEFINE_string(field, default, text, flag_values=values)
