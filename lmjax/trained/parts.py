"""What a trained model consists of, and the corpus of its run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from lmjax.data.corpora import has_second_texts
from lmjax.data.dataset import Dataset, open_dataset
from lmjax.data.documents import Document
from lmjax.data.tokenizer_registry import Tokenizer
from lmjax.errors import UserError
from lmjax.evaluation.splits import check_fingerprints
from lmjax.generation.text import end_id_of
from lmjax.models.contract import LanguageModel
from lmjax.models.registry import build_model
from lmjax.objectives.contract import Objective
from lmjax.objectives.registry import make_objective
from lmjax.runs.fields import check_values
from lmjax.runs.run_directory import RunDirectory
from lmjax.tasks.registry import kind_of
from lmjax.training.prepare import check_tokenizer_of
from lmjax.training.state import initial_params


@dataclass(frozen=True)
class Parts:
    """A model with its parameters, its tokenizer and the run that it is of."""

    model: LanguageModel
    params: Any
    tokenizer: Tokenizer
    config: ConfigDict
    step: int
    workdir: Path
    # Of the splits, when the run was trained; at least of `train`, but none of what was imported.
    fingerprints: dict[str, str]
    # Fields of the model that are others than in training, by dotted name.
    changes: Mapping[str, Any] = field(default_factory=dict)

    def with_model(self, changes: Mapping[str, Any]) -> Self:
        """The same parameters, read by a model with other values of some fields, by dotted name.

        Such as a longer memory than in training: `{"mixers.transformer_xl.memory": 640}`. What it
        scores is put into no results. Raises UserError for a field that there is not, and for a
        model that has other parameters.
        """
        if not changes:
            return self
        fields = self.config.model.to_dict()
        for name, value in changes.items():
            level, (*above, last) = fields, name.split(".")
            for key in above:
                level = level.setdefault(key, {})
                if not isinstance(level, dict):
                    raise UserError(f"model.{name} is no field: {key!r} is one itself")
            level[last] = value
        config = ConfigDict(self.config.to_dict())
        config.model = ConfigDict(fields)
        check_values(config)
        model = build_model(config.model, self.tokenizer)
        if model.is_counted or _shapes(parameters_of(model)) != _shapes(self.params):
            raise UserError(
                f"a model with {dict(changes)} has other parameters than those that were trained; "
                "change what none of them depends on, such as the length of a memory"
            )
        return replace(self, model=model, config=config, changes={**self.changes, **changes})

    @property
    def is_of_results(self) -> bool:
        """Whether the results of the run are those of this model: as trained, at this step."""
        run = RunDirectory(self.workdir)
        return not self.changes and run.is_finished and self.step == run.trained()["scored_step"]

    @property
    def objective(self) -> Objective:
        """What it was trained to predict."""
        return make_objective(self.config.objective, self.tokenizer)

    def dataset(self, corpus: str = "", files: str = "") -> Dataset:
        """The corpus that the model was trained on, or another one in the model's own tokens.

        Raises UserError if there is none, if its own has changed since, or the other can't be had.
        """
        run = RunDirectory(self.workdir)
        if corpus:
            return open_dataset(self._data_of(corpus, files))
        if files:
            raise UserError(f"files {files!r} are of no corpus; name it, such as text")
        if not self.fingerprints:
            raise UserError(
                f"{run.path} was imported and has no corpus of its own; name one with --corpus, "
                "such as wikitext2"
            )
        dataset = open_dataset(self.config.data)
        check_tokenizer_of(run, dataset)
        check_fingerprints(run, self.fingerprints, dataset)
        return dataset

    def _data_of(self, corpus: str = "", files: str = "") -> ConfigDict:
        """`config.data` of the run, or as it describes another corpus in the model's own tokens."""
        if not corpus:
            return self.config.data
        tokenizer = RunDirectory(self.workdir).tokenizer_path
        return _in_own_tokens(self.config.data, corpus, files, tokenizer)

    def _check_seconds(self, documents: Iterable[Document]):
        """Raises UserError for a second text, if the model was trained on single ones.

        Of imported weights of a task nobody knows.
        """
        if kind_of(self.config) is not None and (
            RunDirectory(self.workdir).is_imported or has_second_texts(self.config.data)
        ):
            return
        if any(document.second is not None for document in documents):
            raise UserError("the model was trained on single texts; leave the second one out")

    def _named(self, reader: str) -> str:
        """Who reads a split, and with what model if it is another than in training."""
        changes = ", ".join(f"model.{name}={value!r}" for name, value in self.changes.items())
        return f"{reader} with {changes}" if changes else reader

    @property
    def _end_id(self) -> int | None:
        return end_id_of(self.tokenizer, self.config.data)


def _in_own_tokens(data: ConfigDict, corpus: str, files: str, tokenizer: Path) -> ConfigDict:
    data = data.copy_and_resolve_references()
    data.update(corpus=corpus, files=files, source_files="", direction="")
    data.update(tokenizer="file", tokenizer_file=str(tokenizer), vocabulary_size=0)
    data.update(source_tokenizer="", source_vocabulary_size=0, special_tokens=())
    return data


def parameters_of(model: LanguageModel) -> Any:
    """Shapes and dtypes of a model's parameters; None where they depend on what was counted."""
    if model.is_counted:
        return None
    return nn.meta.unbox(jax.eval_shape(partial(initial_params, model, length=1), np.uint32(0)))


def _shapes(params: Any) -> Any:
    return jax.tree.map(lambda leaf: tuple(leaf.shape), params)
