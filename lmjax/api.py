"""A trained model in as few words as it takes: `lmjax.load(workdir).generate("Once")`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from lmjax.checkpoints.store import Checkpoints
from lmjax.data.cleaning import clean_text
from lmjax.data.dataset import Dataset, open_dataset, read_documents
from lmjax.data.sentence_pairs import sts_benchmark
from lmjax.data.tokenizer_registry import Tokenizer, load_tokenizer
from lmjax.data.word_vectors import WordVectors
from lmjax.errors import UserError
from lmjax.evaluation.score import Score
from lmjax.evaluation.scoring import context_policy, score_text, with_context
from lmjax.evaluation.sentence_similarity import sentence_similarity, sentence_vectors
from lmjax.evaluation.splits import (
    check_fingerprints,
    check_split,
    check_splits,
    log_read,
    score_split,
)
from lmjax.evaluation.trained_vectors import word_vectors_of
from lmjax.evaluation.translation import TranslatedSplit, measure
from lmjax.evaluation.word_vectors import evaluate_word_vectors
from lmjax.generation.beam import Beam
from lmjax.generation.generate import generate
from lmjax.generation.sampling import Sampler
from lmjax.generation.text import TextStream, continuation
from lmjax.generation.translate import Translation, translate
from lmjax.interop.exporting import export_folder
from lmjax.models.contract import LanguageModel
from lmjax.models.registry import build_model
from lmjax.objectives.contract import Objective
from lmjax.objectives.registry import check_translates, make_objective
from lmjax.runs.devices import prepare_devices
from lmjax.runs.fields import check_fields, is_text
from lmjax.runs.lock import only_writer
from lmjax.runs.python_file import load_from_file
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import progress_bar
from lmjax.training.prepare import check_tokenizer_of
from lmjax.training.state import random_key


@dataclass(frozen=True)
class Trained:
    """A model with its parameters and its tokenizer."""

    model: LanguageModel
    params: Any
    tokenizer: Tokenizer
    config: ConfigDict
    step: int
    workdir: Path
    # Of the splits, when the run was trained; at least of `train`, but none of what was imported.
    fingerprints: dict[str, str]

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        on_text: Callable[[str], None] | None = None,
    ) -> str | list[str]:
        """Continues each prompt by at most `length` tokens; `on_text` is given the first's pieces.

        Temperature 0 is greedy. Raises UserError for a prompt outside the vocabulary or settings
        that no distribution has.
        """
        single = isinstance(prompts, str)
        encoded = [
            [int(token) for token in self.tokenizer.encode_prompt(prompt)]
            for prompt in ([prompts] if single else prompts)
        ]
        first = TextStream(self.tokenizer, encoded[0]) if on_text and encoded else None
        rows = generate(
            self.model,
            self.params,
            encoded,
            length=length,
            sampler=Sampler(temperature, top_k, top_p),
            seed=seed,
            start_id=self.tokenizer.start_id,
            end_id=self._end_id,
            on_tokens=(lambda newest: on_text(first.push(newest[0]))) if first else None,
        )
        if first:
            on_text(first.end())
        texts = [
            continuation(self.tokenizer, prompt, row)
            for prompt, row in zip(encoded, rows, strict=True)
        ]
        return texts[0] if single else texts

    def translate(
        self, sources: str | Sequence[str], beam: Beam | int = 5, *, longest: int = 0
    ) -> str | list[str]:
        """The best translation of each source, as `translations` finds it; `beam` may be a width.

        Raises as `translations`.
        """
        single = isinstance(sources, str)
        found = self.translations(
            [sources] if single else sources,
            Beam(beam) if isinstance(beam, int) else beam,
            longest=longest,
        )
        texts = [row[0].text for row in found]
        return texts[0] if single else texts

    def translations(
        self, sources: Sequence[str], beam: Beam, **options: Any
    ) -> list[list[Translation]]:
        """The best translations of each source, with their log-probabilities and scores.

        A source is cleaned as the corpus was. `options` are `longest`, `prefix`, `rows` and
        `on_translated` of `lmjax.generation.translate`. Raises UserError if the model was not
        trained to translate, and for a source that it can't read.
        """
        cleaned = [clean_text(source, self.config.data.cleaning) for source in sources]
        return self._translations(cleaned, beam, **options)

    def translate_split(
        self,
        split: str = "test",
        beam: Beam = Beam(),  # noqa: B008, it is frozen
        *,
        reader: str = "lmjax.translate_split",
        console: Console | None = None,
        **options: Any,
    ) -> TranslatedSplit:
        """Translations of a whole split of the run's corpus, and their BLEU and chrF.

        References are the targets of the split after the corpus's cleaning. What was measured of a
        finished run and its scored checkpoint is also put into its results.json. Each read of
        `test` is logged as by `evaluate`. `options` as for `translations`; raises as it does, for a
        split that there is not, and for a corpus that has changed since.
        """
        run, console = RunDirectory(self.workdir), console or Console(quiet=True)
        check_translates(self.config, self.objective)
        dataset = self.dataset()
        check_split(split, dataset)
        documents = read_documents(self.config.data)[0][split]
        others = [f"{name} {value}" for name, value in options.items() if value and name != "rows"]
        decoding = ", ".join([str(beam), *others])
        log_read(
            run,
            dataset.splits[split],
            split,
            "translate it by",
            step=self.step,
            context=decoding,
            reader=reader,
        )
        with progress_bar(console, split, len(documents)) as advance:
            sources = [document.source for document in documents]
            found = self._translations(sources, beam, on_translated=advance, **options)
        measured = {
            **measure([row[0].text for row in found], [document.text for document in documents]),
            "cleaning": list(self.config.data.cleaning),
        }
        if run.is_finished and self.step == run.trained()["scored_step"]:
            with only_writer(run.path):
                run.add_translation(split, decoding, measured)
        return TranslatedSplit(documents, found, decoding, measured)

    def _translations(
        self, sources: Sequence[str], beam: Beam, **options: Any
    ) -> list[list[Translation]]:
        check_translates(self.config, self.objective)
        return translate(
            self.model,
            self.params,
            self.objective,
            self.tokenizer,
            sources,
            beam,
            end_id=self._end_id,
            **options,
        )

    @property
    def _end_id(self) -> int | None:
        """The token that ends a text, if training has shown it."""
        return self.tokenizer.end_id if self.config.data.document_end else None

    def score(self, text: str, source: str | None = None) -> Score:
        """The score of `text`, each of its tokens once, after its source if it is to have one.

        Raises UserError if it is empty, and for a source that is lacking or in vain.
        """
        document_end = source is not None and self.config.data.document_end
        return score_text(
            self.model, self.params, self.tokenizer, text, source, self.objective, document_end
        )

    @property
    def objective(self) -> Objective:
        """What it was trained to predict."""
        return make_objective(self.config.objective, self.tokenizer)

    def evaluate(
        self,
        split: str = "validation",
        *,
        corpus: str = "",
        files: str = "",
        reader: str = "lmjax.evaluate",
        console: Console | None = None,
        **context: str | int,
    ) -> Score:
        """The score of a whole split of the corpus that the model was trained on, or of another.

        `corpus` and `files` name another one as `config.data` does, which is read in the model's
        own tokens; what was imported has none of its own.
        `context` are fields of `config.evaluation` that say how much is read before each target:
        context, rows, overlap, window, stride; by default those of the run. The score of a finished
        run, of its scored checkpoint and in its own context, is also put into its results.json.
        Each read of `test` is logged in the run's test_reads.jsonl with its `reader`: nothing may
        be chosen by it, see docs/evaluation.md. A `console` shows progress and warnings.

        Raises UserError for a split that there is not, a context that the model can't have or that
        a field of `context` does not apply to, and a corpus that has changed since.
        """
        run, console = RunDirectory(self.workdir), console or Console(quiet=True)
        policy = context_policy(with_context(self.config, context), self.model)
        dataset = self.dataset(corpus, files)
        check_splits([split], dataset, policy, self.objective)
        targets = dataset.splits[split].counts.tokens
        with progress_bar(console, split, targets) as advance:
            score = score_split(
                run,
                dataset,
                split,
                self.model,
                self.params,
                policy,
                self.config.data.batch_size,
                self.objective,
                step=self.step,
                reader=reader,
                console=console,
                on_scored=advance,
            )
        own = not corpus and policy == context_policy(self.config, self.model)
        if own and run.is_finished and self.step == run.trained()["scored_step"]:
            with only_writer(run.path):
                run.add_score(split, score.to_json())
        return score

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

    def export(self, folder: Path | str) -> list[str]:
        """Makes a folder that other programs read, see `lmjax.interop.exporting`; what is in it."""
        return export_folder(self.config, self.params, self.tokenizer, folder)

    def sentence_vectors(self, sentences: Sequence[str]) -> np.ndarray:
        """`vectors_ND` of sentences, of a model that reads in both directions; else UserError."""
        return sentence_vectors(self.model, self.params, self.tokenizer, sentences)

    def evaluate_sentence_vectors(self, split: str = "validation") -> dict[str, Any]:
        """Spearman's correlation with the ratings of a split of the STS benchmark.

        Each read of `test` is logged in the run's test_reads.jsonl. Raises as `sentence_vectors`,
        and UserError if the benchmark is nowhere to be had.
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
        if run.is_finished and self.step == run.trained()["scored_step"]:
            with only_writer(run.path):
                run.add_word_vectors(tests)
        return tests


def load(workdir: Path | str, step: int | None = None) -> Trained:
    """The model of a run: of the checkpoint at `step`, or the one that its results are of.

    Raises UserError if there is no such run or checkpoint.
    """
    run = RunDirectory(workdir)
    config = run.config()
    prepare_devices(config.execution.cpu_devices)
    tokenizer = load_tokenizer(run.tokenizer_path)
    model = build_model(config.model, tokenizer)
    checkpoints = Checkpoints(run.checkpoints, read_only=True)
    try:
        if step is None and run.is_finished:
            step = run.trained()["scored_step"]
        elif step is None:
            step = checkpoints.newest_intact()
        if step is None:
            raise UserError(f"{run.path} has no checkpoint yet; train it first")
        params = checkpoints.restore_params(step, _parameters_of(model))
        stream = checkpoints.about(step)["stream"]
        fingerprints = {"train": stream} if stream else {}
    finally:
        checkpoints.close()
    if run.is_finished:
        kept = run.results().get("fingerprints", {})
        check_fields(kept, {...: is_text}, run.path / "results.json", "fingerprints")
        fingerprints |= kept
    return Trained(model, jax.device_put(params), tokenizer, config, step, run.path, fingerprints)


def evaluate(
    workdir: Path | str, split: str = "validation", *, step: int | None = None, **options: Any
) -> Score:
    """`load(workdir, step)`, then `Trained.evaluate` with the `options`; raises as they do."""
    return load(workdir, step).evaluate(split, **options)


def load_experiment(reference: Path | str) -> ConfigDict:
    """The configuration of an experiment file, named as for --config: `FILE.py[:argument]`.

    The file is executed. Raises UserError if it cannot be had.
    """
    return load_from_file(reference, "config", ConfigDict)


def _in_own_tokens(data: ConfigDict, corpus: str, files: str, tokenizer: Path) -> ConfigDict:
    data = data.copy_and_resolve_references()
    data.update(corpus=corpus, files=files, source_files="", direction="")
    data.update(tokenizer="file", tokenizer_file=str(tokenizer), vocabulary_size=0)
    data.update(source_tokenizer="", source_vocabulary_size=0, special_tokens=())
    return data


def _parameters_of(model: LanguageModel) -> Any:
    """Shapes and dtypes of a model's parameters; None where they depend on what was counted."""
    if model.is_counted:
        return None
    tokens_BT = jax.ShapeDtypeStruct((1, 1), jnp.int32)
    return nn.meta.unbox(jax.eval_shape(model.init, random_key(0, "parameters"), tokens_BT))
