"""Classification by a language model that was not trained for it: the likeliest label's words."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from lmjax.data.cleaning import clean_text
from lmjax.data.documents import Document
from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError, nearest
from lmjax.evaluation.texts import span_log_probs
from lmjax.tasks.classification import Classification
from lmjax.tasks.contract import Answer, Answering
from lmjax.tasks.prompt_templates import Template

NORMALIZATIONS = ("none", "tokens", "characters")
CONTENT_FREE = ("N/A", "[MASK]", "")  # Zhao et al. (2021), section 5

TIE = 1e-5  # of a probability, within which float32 tells nothing


class Prompt(NamedTuple):
    """A prompt with each label behind it, in tokens."""

    rows: list[list[int]]  # of each label
    begins: int  # the first token that the rows do not all share with the prompt
    shots: int  # examples that are in it


@dataclass(frozen=True)
class Prompted(Classification):
    """Labels by the log-probability of their words after a prompt with labelled examples.

    It is divided by the number of the label's tokens or characters if `normalization` says so;
    probabilities are its softmax over the labels. With `calibrate` they are divided by those that
    texts without content have after the same examples (Zhao et al. 2021, section 5): so a label
    that the prompt alone makes likely has no advantage. An example that has no room in the model's
    context is left out, the last drawn first; an answer's details are how many `shots` it had, and
    how many further labels were `as_likely`, of which the template's first is the answer.

    Raises UserError for an unknown normalization.
    """

    template: Template
    shots: tuple[Document, ...] = ()
    normalization: str = "none"
    calibrate: bool = False
    cleaning: tuple[str, ...] = ()

    def __post_init__(self):
        if self.normalization not in NORMALIZATIONS:
            hint = nearest(self.normalization, NORMALIZATIONS)
            raise UserError(f"unknown normalization {self.normalization!r}: {hint}")
        for document in self.shots:
            self.check_label(document)

    def check_label(self, document: Document) -> None:
        """Raises UserError if the template has no words for the document's label."""
        if document.text not in self.template.labels:
            raise UserError(
                f"{document.name} has the label {document.text!r}, and the template has no words "
                f"for it: {nearest(document.text, self.template.labels)}"
            )

    def answers(self, trained, documents, on_answered=None) -> list[Answer]:
        prompts = [self._fitting(trained, each.source, each.name) for each in documents]
        log_probs_NC = self._log_probs(trained, prompts, on_answered)
        if self.calibrate:
            used = sorted({prompt.shots for prompt in prompts})
            free_KC = np.stack([self._content_free(trained, shots) for shots in used])
            free_NC = free_KC[np.searchsorted(used, [prompt.shots for prompt in prompts])]
            log_probs_NC = log_softmax(log_probs_NC - free_NC, axis=1)
        labels = list(self.template.labels)
        answers = []
        for prompt, probabilities_C in zip(prompts, np.exp(log_probs_NC).tolist(), strict=True):
            probabilities = dict(zip(labels, probabilities_C, strict=True))
            likeliest = max(probabilities_C) * (1 - TIE)
            best = [label for label in labels if probabilities[label] >= likeliest]
            details = {"probability": probabilities[best[0]], "probabilities": probabilities}
            details |= {"shots": prompt.shots, "as_likely": len(best) - 1}
            answers.append(Answer(best[0], details))
        return answers

    def text(self, source: str, shots: int) -> str:
        """The prompt of a text, with so many of the examples before it."""
        parts = [self.template.instruction]
        for document in self.shots[:shots]:
            answer = self.template.answer(document.text)
            parts += [self.template.question(document.source), answer, self.template.separator]
        return "".join([*parts, self.template.question(source)])

    def prompt(self, tokenizer: Tokenizer, source: str, shots: int) -> Prompt:
        """The tokens of a text's prompt with each label behind it.

        Raises UserError for a label of which the vocabulary lacks a word, or nothing is left.
        """
        text = self.text(source, shots)
        before = tokenizer.encode(clean_text(text, self.cleaning)).tolist()
        rows = []
        for label in self.template.labels:
            whole = clean_text(text + self.template.answer(label), self.cleaning)
            rows.append(tokenizer.encode(whole).tolist())
        begins = len(os.path.commonprefix([before, *rows]))
        for label, row in zip(self.template.labels, rows, strict=True):
            words = self.template.labels[label]
            if len(row) == begins:
                raise UserError(
                    f"nothing is left of the words {words!r} of the label {label!r} in the model's "
                    "tokens; give others by --template=FILE"
                )
            if tokenizer.unknown_id in row[begins:]:
                raise UserError(
                    f"the model's vocabulary lacks a word of {words!r}, the label {label!r}; give "
                    "others by --template=FILE, or take a model of letters or pieces of words"
                )
        return Prompt(rows, begins, shots)

    def _fitting(self, trained: Answering, source: str, name: str) -> Prompt:
        """The prompt with as many of the examples as have room in the model's context."""
        longest = trained.model.longest_context
        for shots in range(len(self.shots), -1, -1):
            prompt = self.prompt(trained.tokenizer, source, shots)
            length = max(map(len, prompt.rows))
            if longest is None or length <= longest:
                return prompt
        raise UserError(
            f"the prompt of {name} takes {length} tokens without any example, more than the "
            f"model's longest context, {longest}; give a shorter template by --template=FILE, or "
            "take a model of longer context"
        )

    def _log_probs(
        self, trained: Answering, prompts: Sequence[Prompt], on_answered=None
    ) -> np.ndarray:
        """`log_probs_NC` of the labels, which sum to one."""
        rows = [row for prompt in prompts for row in prompt.rows]
        spans = [(prompt.begins, len(row)) for prompt in prompts for row in prompt.rows]
        labels = len(self.template.labels)
        scores_N = span_log_probs(
            trained.model,
            trained.params,
            rows,
            spans,
            trained.tokenizer.start_id,
            trained.objective,
            on_scored=on_answered and (lambda scored: on_answered(scored / labels)),
        )
        scores_NC = scores_N.reshape(-1, labels)
        if self.normalization == "tokens":
            scores_NC /= np.array([end - begin for begin, end in spans]).reshape(-1, labels)
        elif self.normalization == "characters":
            scores_NC /= [len(words) for words in self.template.labels.values()]
        return log_softmax(scores_NC, axis=1)

    def _content_free(self, trained: Answering, shots: int) -> np.ndarray:
        """`log_probs_C`: of the mean of the labels' probabilities after texts without content."""
        prompts = [self.prompt(trained.tokenizer, text, shots) for text in CONTENT_FREE]
        return np.log(np.exp(self._log_probs(trained, prompts)).mean(axis=0))


def draw_shots(documents: Sequence[Document], count: int, seed: int) -> tuple[Document, ...]:
    """So many documents in an order drawn by a seed; of more, the first are the same.

    Raises UserError if there are not so many.
    """
    if not 0 <= count <= len(documents):
        raise UserError(
            f"shots is {count}; give from 0 to {len(documents):,}, the training documents"
        )
    order = np.random.default_rng(seed).permutation(len(documents))
    return tuple(documents[place] for place in order[:count])
