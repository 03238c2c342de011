"""Prepared corpora: a TFDS builder that writes and reads array records, without TensorFlow."""

import contextlib
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from lmjax.data.documents import SPLITS, Document, Splits


class LmjaxCorpus(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The documents of a corpus in their order, one example each, of the fields of a document."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, corpus, **options):
        self.corpus = corpus
        super().__init__(file_format="array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text()
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"The corpus {self.corpus.name} in whole documents.",
            features=tfds.features.FeaturesDict(
                {
                    "text": text,
                    "name": text,
                    "sources": tfds.features.Sequence(text),
                    "further_references": tfds.features.Sequence(text),
                    "begins": tfds.features.Sequence(np.int64),  # one, or none
                }
            ),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        splits, report = self.corpus.read()
        self.info.metadata.update(report)
        return {split: self._generate_examples(part) for split, part in splits.items()}

    def _generate_examples(self, documents: list[Document]) -> Iterator[tuple[int, dict]]:
        for i, document in enumerate(documents):
            example = {"text": document.text, "name": document.name}
            example["sources"] = list(document.source_parts)
            example["further_references"] = list(document.further_references)
            example["begins"] = [] if document.begin is None else [document.begin]
            yield i, example


def prepare(corpus, folder: Path) -> None:
    """Reads a corpus and writes it into `folder`; raises what reading it raises."""
    tfds.disable_progress_bar()
    settings = tfds.download.DownloadConfig(try_download_gcs=False)
    with contextlib.redirect_stdout(io.StringIO()):
        LmjaxCorpus(corpus, data_dir=folder).download_and_prepare(download_config=settings)


def read_prepared(corpus, folder: Path) -> tuple[Splits, Counter]:
    """What `corpus.read()` returned when it was prepared."""
    builder = LmjaxCorpus(corpus, data_dir=folder)
    splits = {
        split: [
            Document(
                example["name"].decode(),
                example["text"].decode(),
                *(source.decode() for source in example["sources"]),
                further_references=tuple(map(bytes.decode, example["further_references"])),
                begin=next(map(int, example["begins"]), None),
            )
            for example in builder.as_data_source(split)
        ]
        for split in SPLITS
        if split in builder.info.splits
    }
    return splits, Counter(builder.info.metadata)
