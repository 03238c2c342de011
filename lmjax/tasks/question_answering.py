"""Question answering: where in a text the answer to a question stands."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.documents import Document
from lmjax.data.source_rows import encode_sources, source_batches
from lmjax.data.span_tokenizer import NOWHERE
from lmjax.data.spans import characters_of, second_begins, windows
from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel
from lmjax.tasks.answer_metrics import answer_metrics, words
from lmjax.tasks.bootstrap import bootstrap_intervals
from lmjax.tasks.contract import Answer, Answering, Intervals, Kind, Metrics
from lmjax.tasks.first_outputs import check_finite
from lmjax.tasks.summarisation import SENTENCE_END


class QuestionAnswering(Kind):
    """Answers that stand in a text, in percent by the rules of SQuAD 1.1.

    An answer's details are its `probability`, in the window of the text where that is highest, and
    `begin`, the character at which it stands.
    """

    name: ClassVar[str] = "question_answering"
    main: ClassVar[str] = "f1"

    def answers(self, trained, documents, on_answered=None) -> list[Answer]:
        return find_answers(trained, documents, on_answered)

    def measure(self, predictions, references) -> Metrics:
        if not len(references):
            raise UserError("there is no question to compare; choose another split")
        of_each = answer_metrics(predictions, references)
        return {name: float(values_N.mean()) for name, values_N in of_each.items()}

    def is_right(self, prediction, reference) -> bool:
        return words(prediction) == words(reference)

    def intervals(self, predictions, references, seed=0) -> Intervals:
        of_each = answer_metrics(predictions, references)

        def means(places_RN: np.ndarray) -> dict[str, np.ndarray]:
            return {name: values_N[places_RN].mean(axis=1) for name, values_N in of_each.items()}

        return bootstrap_intervals(len(references), means, seed)

    def baselines(self, train, documents) -> dict[str, list[str]]:
        """The first sentence of each text, and the one that has most words of the question."""
        sentences = [SENTENCE_END.split(document.second) for document in documents]
        return {
            "first_sentence": [each[0] for each in sentences],
            "likest_sentence": [
                max(each, key=partial(_shared, document.source))
                for document, each in zip(documents, sentences, strict=True)
            ],
        }


@dataclass(frozen=True)
class _Window:
    """A window of the text of a document, as the model reads it."""

    document: int
    begin: int  # its first character
    text: str
    before: int  # tokens of its row before those of the text


def find_answers(
    trained: Answering,
    documents: Sequence[Document],
    on_answered: Callable[[int], None] | None = None,
) -> list[Answer]:
    """The most probable answer to each question, over all windows of its text.

    That is the product of the probabilities of its two ends. An answer has at most as many tokens
    as windows share, if they do. Raises UserError, naming the document, for one without a question
    or a text, and for a question that leaves no room, and DivergedError for outputs that are
    not finite.
    """
    model, tokenizer = trained.model, trained.tokenizer
    reader, overlap = tokenizer.source, trained.config.data.source_overlap
    row_length = tokenizer.target.row_length
    longest = min(row_length, model.longest_context or row_length)
    shown: list[_Window] = []
    parts: list[Document] = []
    for number, document in enumerate(documents):
        _check(document)
        for begin, part in windows(document, reader, longest, overlap):
            shown.append(_Window(number, begin, part.second, second_begins(part, reader)))
            parts.append(part)
    left = Counter(window.document for window in shown)
    best: list[Answer | None] = [None] * len(documents)
    highest = np.full(len(documents), -np.inf)
    rows = encode_sources(parts, reader, longest)
    for places_N, source_BS, weights_BS in source_batches(
        rows, trained.config.data.batch_size, longest
    ):
        found = _best_spans(
            model, trained.params, tokenizer.start_id, overlap or longest, source_BS, weights_BS
        )
        for place, first, last, log_prob in zip(places_N, *map(np.asarray, found), strict=False):
            window = shown[place]
            check_finite(documents[window.document], log_prob)
            left[window.document] -= 1
            if log_prob > highest[window.document]:
                highest[window.document] = log_prob
                best[window.document] = _answer(window, reader, first, last, log_prob)
        if on_answered:
            answered = sum(
                not left[number] for number in {shown[place].document for place in places_N}
            )
            on_answered(answered)
    return best


def _check(document: Document) -> None:
    if not document.source.strip() or not (document.second or "").strip():
        lacking = "text to find its answer in" if document.source.strip() else "question"
        raise UserError(
            f"{document.name} has no {lacking}; give both, as the source and the second text"
        )


def _answer(window: _Window, reader: Tokenizer, first: int, last: int, log_prob: float) -> Answer:
    tokens = (place - NOWHERE - 1 - window.before for place in (first, last))
    begin, end = characters_of(window.text, reader.places(window.text), *tokens)
    details = {"probability": float(np.exp(log_prob)), "begin": window.begin + begin}
    return Answer(window.text[begin:end], details)


@partial(jax.jit, static_argnames=("model", "start_id", "longest"))
def _best_spans(
    model: LanguageModel,
    params: Any,
    start_id: int,
    longest: int,
    source_BS: jax.Array,
    weights_BS: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`first_B, last_B, log_prob_B`: the two places of the most probable span of each row."""
    tokens_BT = jnp.full((len(source_BS), 2), start_id, jnp.int32)
    source = {"source_BS": source_BS, "source_weights_BS": weights_BS}
    logits_BTV, _ = model.apply(params, tokens_BT, None, **source)
    log_probs_BTV = jax.nn.log_softmax(logits_BTV.astype(jnp.float32))
    places_S = NOWHERE + 1 + jnp.arange(source_BS.shape[1])
    first_BS, last_BS = log_probs_BTV[:, 0, places_S], log_probs_BTV[:, 1, places_S]
    tokens_SS = places_S[None, :] - places_S[:, None] + 1
    is_span_SS = (tokens_SS >= 1) & (tokens_SS <= longest)
    spans_BSS = jnp.where(is_span_SS[None], first_BS[:, :, None] + last_BS[:, None, :], -jnp.inf)
    best_B = spans_BSS.reshape(len(source_BS), -1).argmax(axis=1)
    first_B, last_B = jnp.divmod(best_B, len(places_S))
    return places_S[first_B], places_S[last_B], spans_BSS.max(axis=(1, 2))


def _shared(question: str, sentence: str) -> int:
    """How many words of the question a sentence has."""
    asked, told = (set(text.lower().split()) for text in (question, sentence))
    return len(asked & told)
