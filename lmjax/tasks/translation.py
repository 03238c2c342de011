"""Translation, and all else that writes a text to a source."""

from dataclasses import dataclass
from typing import ClassVar

from lmjax.data.source_rows import encode_sources
from lmjax.evaluation.translation import intervals, measure
from lmjax.generation.beam import Beam
from lmjax.generation.text import end_id_of
from lmjax.generation.translate import translate
from lmjax.tasks.contract import Answer, Intervals, Kind, Metrics


@dataclass(frozen=True)
class Writing(Kind):
    """Texts that are written to sources by beam search.

    An answer's details are its `log_prob` in nats and its `score`, which the search goes by. Since
    a search takes minutes, nothing is written at the end of a training.
    """

    beam: Beam = Beam()

    after_training: ClassVar[bool] = False

    def answers(self, trained, documents, on_answered=None) -> list[Answer]:
        data, model = trained.config.data, trained.model
        cut = data.cut_sources
        encode_sources(documents, trained.tokenizer.source, model.longest_context, cut)
        found = translate(
            model,
            trained.params,
            trained.objective,
            trained.tokenizer,
            [document.source for document in documents],
            self.beam,
            end_id=end_id_of(trained.tokenizer, data),
            longest=self.longest(data),
            rows=data.batch_size,
            cut=cut,
            on_translated=on_answered,
        )
        return [
            Answer(best.text, {"log_prob": best.log_prob, "score": best.score})
            for best, *_ in found
        ]

    def longest(self, data) -> int:
        """The most tokens of a text; 0: by the length of its source."""
        return 0

    def notes(self, references) -> dict[str, str]:
        return {"decoding": str(self.beam)}


@dataclass(frozen=True)
class Translation(Writing):
    """The same in another language: BLEU and chrF by sacrebleu, in percent."""

    name: ClassVar[str] = "translation"
    main: ClassVar[str] = "bleu"

    def measure(self, predictions, references) -> Metrics:
        measured = measure(predictions, references)
        return {name: measured[name] for name in ("bleu", "chrf")}

    def intervals(self, predictions, references, seed=0) -> Intervals:
        """By sacrebleu's own bootstrap, from its own seed."""
        return intervals(predictions, references)

    def baselines(self, train, documents) -> dict[str, list[str]]:
        """The source as it is."""
        return {"copied_source": [document.source for document in documents]}

    def notes(self, references) -> dict[str, str]:
        # Of any texts: a signature tells of references alone.
        measured = measure([""] * len(references), references)
        signatures = {name: measured[f"{name}_signature"] for name in ("bleu", "chrf")}
        return {**signatures, **super().notes(references)}
