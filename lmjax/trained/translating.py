"""Translations by a trained model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from lmjax.data.cleaning import clean_text
from lmjax.data.dataset import read_documents
from lmjax.data.texts import texts_of
from lmjax.errors import UserError
from lmjax.evaluation.splits import check_split, log_read
from lmjax.evaluation.translation import TranslatedSplit, measure
from lmjax.generation.beam import Beam
from lmjax.generation.translate import Translation, translate
from lmjax.objectives.registry import check_translates
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import progress_bar
from lmjax.trained.parts import Parts


@dataclass(frozen=True)
class Translating(Parts):
    """Translates texts, if it was trained to write targets to sources."""

    def translate(
        self, sources: str | Iterable[str], beam: Beam | int = 5, *, longest: int = 0
    ) -> str | list[str]:
        """The best translation of each source, as `translations` finds it; `beam` may be a width.

        Raises as `translations`, and UserError if there is no source.
        """
        given = texts_of(sources)
        if not given:
            raise UserError("there is no text to write one for; give one or more")
        texts = [row[0].text for row in self.translations(given, _beam(beam), longest=longest)]
        return texts[0] if isinstance(sources, str) else texts

    def summarize(
        self, texts: str | Iterable[str], beam: Beam | int = 5, *, longest: int = 0
    ) -> str | list[str]:
        """The best summary of each text, as `translations` finds it, in which no three tokens in a
        row come twice if `beam` is a width.

        It has at most `longest` tokens; 0: as many as those that were trained on. Raises as
        `translate`.
        """
        check_translates(self.config, self.objective, "summarize", "scitldr")
        beam = Beam(beam, no_repeat_ngram=3) if isinstance(beam, int) else beam
        return self.translate(texts, beam, longest=longest or self.config.data.length)

    def translations(
        self, sources: Iterable[str], beam: Beam, **options: Any
    ) -> list[list[Translation]]:
        """The best translations of each source, with their log-probabilities and scores.

        A source is cleaned as the corpus was. `options` are `longest`, `prefix`, `rows` and
        `on_translated` of `lmjax.generation.translate`. Raises UserError if the model was not
        trained to translate, and for a source that it can't read.
        """
        cleaned = [clean_text(source, self.config.data.cleaning) for source in texts_of(sources)]
        return self._translations(cleaned, beam, **options)

    def translate_split(
        self,
        split: str = "test",
        beam: Beam | int = 5,
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
        beam = _beam(beam)
        check_translates(self.config, self.objective)
        dataset = self.dataset()
        check_split(split, dataset)
        documents = read_documents(self.config.data)[0][split]
        decoding = decoding_by(beam, options)
        log_read(
            run,
            split,
            "translate it by",
            step=self.step,
            context=decoding,
            fingerprint=dataset.splits[split].fingerprint,
            reader=self._named(reader),
        )
        with progress_bar(console, split, len(documents)) as advance:
            sources = [document.source for document in documents]
            found = self._translations(sources, beam, on_translated=advance, **options)
        texts, references = [row[0].text for row in found], [each.text for each in documents]
        measured = self._measured(texts, references)
        if self.is_of_results:
            with only_writer(run.path):
                run.add_translation(split, decoding, measured)
        return TranslatedSplit(documents, found, decoding, measured)

    def measure_translations(
        self, translations: Sequence[str], references: Sequence[str]
    ) -> dict[str, Any]:
        """BLEU and chrF of texts, as of a split's: the references are cleaned as the corpus was."""
        cleaning = self.config.data.cleaning
        return self._measured(translations, [clean_text(text, cleaning) for text in references])

    def _measured(self, translations: Sequence[str], cleaned: Sequence[str]) -> dict[str, Any]:
        return {**measure(translations, cleaned), "cleaning": list(self.config.data.cleaning)}

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
            cut=self.config.data.cut_sources,
            **options,
        )


def decoding_by(beam: Beam, options: Mapping[str, Any]) -> str:
    """How translations are searched for, in words, by what changes them of `options`, too."""
    others = [f"{name} {value}" for name, value in options.items() if value and name != "rows"]
    return ", ".join([str(beam), *others])


def _beam(beam: Beam | int) -> Beam:
    return Beam(beam) if isinstance(beam, int) else beam
