"""From `config.data` to a tokenizer and the token streams of its splits, kept in the cache."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from lmjax.data.augmentation import augmented
from lmjax.data.cache import build_once, cache_directory, key_of
from lmjax.data.cleaning import StepReport, clean, named_steps
from lmjax.data.corpora import PREPARATION, SYNTHETIC, Corpus, open_corpus
from lmjax.data.documents import Document, Splits, spread_share, with_fold
from lmjax.data.label_tokenizer import LabelTokenizer
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.reading import check_invalid_utf8
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.data.spans import in_windows
from lmjax.data.streams import (
    SUFFIXES,
    Counts,
    TokenStream,
    read_stream,
    with_source,
    write_source_stream,
    write_stream,
)
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.tokenizer_choice import (
    check_tokenizer,
    given_tokenizer,
    source_data,
    target_data,
    target_kind,
    train_tokenizer,
)
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer
from lmjax.errors import UserError
from lmjax.runs.fields import check_fields, is_count, is_text
from lmjax.runs.files import read_json, to_json

STREAM = {
    "counts": {count.name: is_count for count in fields(Counts)},
    "fingerprint": is_text,
    "sha256": dict.fromkeys(SUFFIXES, is_text),
}
REPORT = {report.name: is_count for report in fields(StepReport)} | {"step": is_text}
DESCRIBED = {
    "reading": {...: is_count},
    "cleaning_reports": [REPORT],
    "splits": {"train": STREAM, ...: STREAM},
    "sources": {...: STREAM},
}


@dataclass(frozen=True)
class Dataset:
    """A corpus in tokens, and what reading and cleaning it changed."""

    tokenizer: Tokenizer
    splits: dict[str, TokenStream]  # train, validation and, if the corpus has one, test
    folder: Path | None  # where the streams lie; None: they are made anew
    reading: dict[str, int]
    cleaning: tuple[StepReport, ...]

    def left_out(self) -> list[str]:
        """What reading and cleaning left out or rounded, a line each."""
        lines = [
            f"{count:,} {what}"
            for what, count in self.reading.items()
            if count and what.endswith(("left out", "rounded to thousandths"))
        ]
        return lines + [
            f"{report.documents_before - report.documents_after:,} documents left out by "
            f"data.cleaning {report.step!r}"
            for report in self.cleaning
            if report.documents_after < report.documents_before
        ]


def open_dataset(data) -> Dataset:
    """The dataset that `config.data` describes, prepared the first time that it is asked for.

    Raises UserError for a field that cannot be, and for text that cannot be had or read.
    """
    if data.corpus == SYNTHETIC:
        from lmjax.data.synthetic.examples import open_task

        tokenizer, splits = open_task(data)
        return Dataset(tokenizer, dict(splits), folder=None, reading={}, cleaning=())
    check_invalid_utf8(data.invalid_utf8)
    named_steps(data.cleaning)
    if not 0 < data.train_share <= 1:
        raise UserError(f"data.train_share is {data.train_share}; give more than 0 and at most 1")
    if data.folds == 1 or data.fold >= max(1, data.folds):
        raise UserError(
            f"data.fold is {data.fold} of data.folds {data.folds}; give two folds or more, which "
            "are counted from 0, or none and fold 0"
        )
    check_tokenizer(data)
    if data.source_tokenizer:
        check_tokenizer(source_data(data))
    corpus = open_corpus(data)
    identity = [PREPARATION, corpus.name, corpus.identity, _choices(data)]
    folder = cache_directory() / "datasets" / f"{corpus.name}-{data.tokenizer}-{key_of(identity)}"
    build_once(folder, lambda temporary: _build(temporary, corpus, data))
    dataset = read_dataset(folder)

    def documents() -> list[Document]:
        return _read_documents(corpus, data)[0]["train"]

    stream = augmented(dataset.splits["train"], data, dataset.tokenizer, documents)
    return replace(dataset, splits={**dataset.splits, "train": stream})


def read_documents(data) -> tuple[Splits, dict[str, int], list[StepReport]]:
    """The cleaned documents that `config.data` describes, and what reading and cleaning changed."""
    return _read_documents(open_corpus(data), data)


def _read_documents(corpus: Corpus, data) -> tuple[Splits, dict[str, int], list[StepReport]]:
    documents, reading = corpus.documents()
    if data.folds and "train" in documents:
        documents = with_fold(documents, data.folds, data.fold)
    if "train" in documents:
        documents["train"] = spread_share(documents["train"], data.train_share)
    documents, reports = clean(documents, data.cleaning, sources_alone=_are_labelled(data))
    return documents, dict(reading), reports


def _are_labelled(data) -> bool:
    """Whether texts are labels or numbers."""
    return target_kind(data) in (LabelTokenizer.kind, NumberTokenizer.kind)


def _choices(data) -> dict[str, Any]:
    """The fields, beside those of the corpus, that the tokens depend on."""
    given = [given_tokenizer(data)]
    if data.source_tokenizer:
        given.append(given_tokenizer(source_data(data), side="source"))
    folds = {"folds": data.folds, "fold": data.fold} if data.folds else {}
    spans = {}
    if target_kind(data) == SpanTokenizer.kind:
        spans["source_overlap"] = data.source_overlap
        if data.tokenizer != "file":
            spans["source_length"] = data.source_length
    cut = {"cut_sources": data.cut_sources} if data.cut_sources else {}
    return {
        **folds,
        **cut,
        **spans,
        "train_share": data.train_share,
        "cleaning": list(named_steps(data.cleaning)),
        "tokenizer": data.tokenizer,
        "tokenizer_file": ",".join(key_of(each.to_json()) for each in given if each),
        "vocabulary_size": data.vocabulary_size,
        "document_end": data.document_end,
        "special_tokens": list(data.special_tokens),
        "source_tokenizer": data.source_tokenizer,
        "source_vocabulary_size": data.source_vocabulary_size,
    }


def _build(folder: Path, corpus: Corpus, data) -> None:
    documents, reading, reports = _read_documents(corpus, data)
    if "train" not in documents:
        raise UserError(
            f"the corpus {data.corpus!r} is a test alone and has no text to train on; see "
            f"lmjax task inspect {data.corpus}"
        )
    is_whole = data.train_share == 1 and not data.folds
    closed = is_whole and not data.cleaning and data.tokenizer in corpus.closed
    labels = None
    if data.tokenizer == LabelTokenizer.kind:
        labels = _labels(documents if is_whole else _whole(corpus, data))
    tokenizer = _train_tokenizer(data, documents["train"], labels, closed)
    tokenizer.save(folder / "tokenizer.json")
    source = tokenizer.source
    if isinstance(tokenizer.target, SpanTokenizer):
        length = tokenizer.target.row_length
        documents, counts = in_windows(documents, source, length, data.source_overlap)
        reading |= counts
    texts = {split: [document.text for document in part] for split, part in documents.items()}
    sources = {
        split: [document.source_parts for document in part]
        for split, part in documents.items()
        if part and part[0].source is not None
    }
    described = {
        "corpus": corpus.name,
        **_choices(data),
        "reading": reading,
        "cleaning_reports": [asdict(report) for report in reports],
        "splits": {
            split: write_stream(folder, split, part, tokenizer, data.document_end)
            for split, part in texts.items()
        },
        "sources": {
            split: write_source_stream(folder, split, part, source, data.cut_sources)
            for split, part in sources.items()
        },
    }
    (folder / "dataset.json").write_text(to_json(described, indent=1))


def _whole(corpus: Corpus, data) -> Splits:
    """The documents, also if a share or a fold of them is trained on."""
    whole = ConfigDict({**data.to_dict(), "train_share": 1.0, "folds": 0})
    return _read_documents(corpus, whole)[0]


def _labels(splits: Splits) -> list[str]:
    """Those of training and validation."""
    return [document.text for split in ("train", "validation") for document in splits[split]]


def _train_tokenizer(
    data, documents: list[Document], labels: list[str] | None, closed: bool
) -> Tokenizer:
    """One tokenizer of both sides, or one of each; of `labels`, if those are given, in targets."""
    texts = [document.text for document in documents] if labels is None else labels
    sources = [text for document in documents for text in document.source_parts]
    if not data.source_tokenizer:
        return train_tokenizer(data, texts + sources, closed)
    if not sources:
        raise UserError(
            f"data.source_tokenizer is {data.source_tokenizer!r}, but the documents of the corpus "
            f"{data.corpus!r} have no source; leave it out"
        )
    return PairTokenizer(
        train_tokenizer(target_data(data), texts, closed),
        train_tokenizer(source_data(data), sources, side="source"),
    )


def read_dataset(folder: Path) -> Dataset:
    """The dataset that lies in `folder`; raises UserError if a file of it is damaged."""
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    source = folder / "dataset.json"
    described = read_json(source)
    check_fields(described, DESCRIBED, source)
    splits = {
        split: read_stream(folder, split, stream, tokenizer.start_id)
        for split, stream in described["splits"].items()
    }
    for split, stream in described["sources"].items():
        start_id = tokenizer.source.start_id
        source = read_stream(folder, f"{split}.source", stream, start_id)
        splits[split] = with_source(splits[split], source)
    return Dataset(
        tokenizer=tokenizer,
        splits=splits,
        folder=folder,
        reading=described["reading"],
        cleaning=tuple(
            StepReport(**{name: report[name] for name in REPORT})
            for report in described["cleaning_reports"]
        ),
    )
