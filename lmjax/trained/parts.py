"""What a trained model consists of, and the corpus of its run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from lmjax.data.dataset import Dataset, open_dataset
from lmjax.data.tokenizer_registry import Tokenizer
from lmjax.errors import UserError
from lmjax.evaluation.splits import check_fingerprints
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective
from lmjax.objectives.registry import make_objective
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.prepare import check_tokenizer_of


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
            return open_dataset(_in_own_tokens(self.config.data, corpus, files, run.tokenizer_path))
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

    @property
    def _end_id(self) -> int | None:
        """The token that ends a text, if training has shown it."""
        return self.tokenizer.end_id if self.config.data.document_end else None


def _in_own_tokens(data: ConfigDict, corpus: str, files: str, tokenizer: Path) -> ConfigDict:
    data = data.copy_and_resolve_references()
    data.update(corpus=corpus, files=files, source_files="", direction="")
    data.update(tokenizer="file", tokenizer_file=str(tokenizer), vocabulary_size=0)
    data.update(source_tokenizer="", source_vocabulary_size=0, special_tokens=())
    return data
