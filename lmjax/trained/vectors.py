"""Vectors of words and texts by a trained model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmjax.data.cleaning import clean_text
from lmjax.data.sts_benchmark import sts_benchmark
from lmjax.data.texts import texts_of
from lmjax.data.word_vectors import WordVectors
from lmjax.evaluation.sentence_similarity import sentence_similarity
from lmjax.evaluation.text_vectors import cosines, text_vectors
from lmjax.evaluation.trained_vectors import word_vectors_of
from lmjax.evaluation.word_vectors import evaluate_word_vectors
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.trained.parts import Parts


@dataclass(frozen=True)
class Embedding(Parts):
    """Gives vectors of words and of texts, as far as it has such."""

    def embed(self, texts: str | Iterable[str]) -> np.ndarray:
        """`vectors_ND` of texts, or `vector_D` of one, see `lmjax.evaluation.text_vectors`.

        Texts are cleaned as the corpus was. Raises as `text_vectors`, and UserError for a text
        that is none.
        """
        cleaned = [clean_text(text, self.config.data.cleaning) for text in texts_of(texts)]
        vectors_ND = text_vectors(self.model, self.params, self.tokenizer, cleaned)
        return vectors_ND[0] if isinstance(texts, str) else vectors_ND

    def similarity(self, a: str | Iterable[str], b: str | Iterable[str]) -> float | np.ndarray:
        """The cosine of two texts' vectors, or `cosines_AB` of each of `a` with each of `b`."""
        single = isinstance(a, str) and isinstance(b, str)
        cosines_AB = cosines(*(self.embed(side) for side in [texts_of(a), texts_of(b)]))
        return float(cosines_AB[0, 0]) if single else cosines_AB

    def evaluate_sentence_vectors(self, split: str = "validation") -> dict[str, Any]:
        """Spearman's correlation with the ratings of a split of the STS benchmark.

        Each read of `test` is logged in the run's test_reads.jsonl. Raises as `embed`, and
        UserError if the benchmark is nowhere to be had.
        """
        pairs = sts_benchmark(split)
        if split == "test":
            RunDirectory(self.workdir).log_test_read(
                step=self.step, corpus="sts_benchmark", reader="evaluate_sentence_vectors"
            )
        spearman = sentence_similarity(self.model, self.params, self.tokenizer, pairs)
        return {"sts_benchmark": split, "pairs": len(pairs), "spearman": spearman}

    def word_vectors(self) -> WordVectors:
        """The vectors of its words; raises UserError for a model or tokenizer that has none."""
        return word_vectors_of(self.model, self.params, self.tokenizer)

    def evaluate_word_vectors(self) -> dict[str, Any]:
        """What published tests of word vectors give, see `lmjax.evaluation.word_vectors`.

        Of a finished run and its scored checkpoint, it is also put into its results.json. Raises as
        `word_vectors`, and UserError if a test is nowhere to be had.
        """
        tests = evaluate_word_vectors(self.word_vectors())
        run = RunDirectory(self.workdir)
        if self.is_of_results:
            with only_writer(run.path):
                run.add_word_vectors(tests)
        return tests
