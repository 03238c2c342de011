"""What samples of a trained model are like, beside text that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lmjax.data.dataset import read_documents
from lmjax.evaluation.splits import log_read
from lmjax.runs.run_directory import RunDirectory
from lmjax.tasks.generation import measure
from lmjax.trained.parts import Parts


@dataclass(frozen=True)
class Measuring(Parts):
    """Measures how varied samples are, and what of them is copied."""

    def measure_samples(self, samples: Sequence[str]) -> dict[str, Any]:
        """`samples` and, as what people write that the model has not seen, `held_out`.

        Both are as `lmjax.tasks.generation.measure` says, against the run's training text; held out
        are as many pieces of its validation text, each as long as a sample. Raises UserError as
        that does, and for a model without a corpus of its own or whose corpus has changed since.
        """
        run, dataset = RunDirectory(self.workdir), self.dataset()
        splits = read_documents(self.config.data)[0]
        training, validation = (
            [document.text for document in splits[split]] for split in ("train", "validation")
        )
        measured = {"samples": measure(samples, training)}
        log_read(
            run,
            "validation",
            "stand beside samples of",
            step=self.step,
            context="no context",
            fingerprint=dataset.splits["validation"].fingerprint,
            reader=self._named("lmjax.measure_samples"),
        )
        return measured | {"held_out": measure(_pieces(validation, samples), training)}


def _pieces(texts: Sequence[str], samples: Sequence[str]) -> list[str]:
    """Pieces as long as the samples: beginnings of as many texts, else places spread over all."""
    count = len(samples)
    if len(texts) >= count:
        begun = [texts[len(texts) * place // count] for place in range(count)]
        return [text[: len(sample)] for text, sample in zip(begun, samples, strict=True)]
    whole = "\n".join(texts)
    begins = [max(0, len(whole) - len(each)) * i // count for i, each in enumerate(samples)]
    return [whole[begin : begin + len(each)] for begin, each in zip(begins, samples, strict=True)]
