"""A trained model: it continues, scores, evaluates, translates and is exported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lmjax.errors import UserError
from lmjax.evaluation.score import Score
from lmjax.evaluation.scoring import context_policy, score_text, with_context
from lmjax.evaluation.splits import (
    check_splits,
    score_split,
)
from lmjax.generation.generate import generate
from lmjax.generation.sampling import Sampler
from lmjax.generation.text import TextStream, continuation
from lmjax.interop.exporting import export_folder
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import progress_bar
from lmjax.trained.adapting import Adapting
from lmjax.trained.answering import AnsweringTasks
from lmjax.trained.averaging import Averaging
from lmjax.trained.measuring import Measuring
from lmjax.trained.other_tasks import AnsweringOtherTasks
from lmjax.trained.predicting import Predicting
from lmjax.trained.translating import Translating
from lmjax.trained.vectors import Embedding


@dataclass(frozen=True)
class Trained(
    AnsweringTasks,
    AnsweringOtherTasks,
    Predicting,
    Translating,
    Embedding,
    Adapting,
    Averaging,
    Measuring,
):
    """A model with its parameters and its tokenizer."""

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

        Temperature 0 is greedy. Raises UserError for a prompt outside the vocabulary, settings that
        no distribution has, and a model that was trained on texts with a source.
        """
        if self.objective.needs_source:
            raise UserError(
                "this model writes targets to sources and continues no text; translate with it, or "
                "choose one that was trained by objective.name='causal'"
            )
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

    def score(self, text: str, source: str | None = None) -> Score:
        """The score of `text`, each of its tokens once, after its source if it is to have one.

        Raises UserError if it is empty, and for a source that is lacking or in vain.
        """
        document_end = source is not None and self.config.data.document_end
        return score_text(
            self.model, self.params, self.tokenizer, text, source, self.objective, document_end
        )

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
        given = dict(corpus=corpus, files=files, reader=reader, console=console)
        return self.evaluate_task(split, with_task=False, **given, **context)[0]

    def evaluate_task(
        self,
        split: str = "validation",
        *,
        corpus: str = "",
        files: str = "",
        reader: str = "lmjax.evaluate_task",
        console: Console | None = None,
        with_task: bool = True,
        **context: str | int,
    ) -> tuple[Score, dict[str, Any] | None]:
        """As `evaluate`; and of the same read what the model's answers to the split are worth.

        None for a model that answers nothing. Where the score is put into results.json, this is,
        too, and the answers into the run's folder, as predictions/SPLIT.jsonl.
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
                reader=self._named(reader),
                console=console,
                on_scored=advance,
            )
        own = not corpus and policy == context_policy(self.config, self.model)
        is_kept = own and self.is_of_results
        if is_kept:
            with only_writer(run.path):
                run.add_score(split, score.to_json())
        if not with_task:
            return score, None
        answered = self.answer_split(
            split, corpus=corpus, files=files, keep=is_kept, console=console
        )
        return score, answered.measured if answered else None

    def export(self, folder: Path | str) -> list[str]:
        """Makes a folder that other programs read, see `lmjax.interop.exporting`; what is in it."""
        return export_folder(self.config, self.params, self.tokenizer, folder)
