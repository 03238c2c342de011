"""Log-probabilities of many texts, each read alone: of all of it, or of what ends it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmjax.data.context import ContextPolicy
from lmjax.data.document_batches import bucket_length
from lmjax.data.streams import Counts, Segments, TokenStream
from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError
from lmjax.evaluation.score import spelling_nats
from lmjax.evaluation.scoring import CAUSAL, target_log_probs
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective
from lmjax.objectives.masked import Masked

MOST_ROWS = 256  # of a batch
MOST_LOGITS = 1 << 26  # of a batch, where all are formed
ROWS_AT_ONCE = 1 << 13  # between two looks of the host at what was scored


@dataclass(frozen=True)
class TextScores:
    """What a model makes of each of N texts."""

    log_probs_N: np.ndarray  # float64, in nats
    tokens_N: np.ndarray  # int64, that are predicted
    unknowns_N: np.ndarray  # int64, words or characters that the vocabulary lacks


def text_log_probs(
    model: LanguageModel,
    params: Any,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    objective: Objective = CAUSAL,
    *,
    on_scored: Callable[[int], None] | None = None,
) -> TextScores:
    """The log-probability of each text after the start token, without one of its end.

    Of a masked model it is the pseudo-log-likelihood: each token is hidden alone (Salazar et al.
    2020, equation 1), between the tokens `class` and `separator` if the tokenizer has both. What
    the vocabulary lacks is spelled, as `lmjax.evaluation.score.spelling_nats` says, so that no
    unknown word is cheap. Equal tokens have equal scores: they are scored once. `on_scored` is
    given how many of these were done.

    Raises UserError for a model that was not trained on texts alone, and a text that has no tokens
    or more than the model takes in.
    """
    check_scores_texts(objective, model)
    begin, end = (), ()
    if isinstance(objective, Masked):
        objective = replace(objective, evaluation="pseudo_likelihood")
        ends = tokenizer.special_id("class"), tokenizer.special_id("separator")
        begin, end = ((ends[0],), (ends[1],)) if None not in ends else ((), ())
    rows, spelled_N, unknowns_N = [], np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    for place, text in enumerate(texts):
        tokens = tokenizer.encode(text).tolist()
        if not tokens:
            raise UserError(f"text {place + 1} has no tokens: {text[:40]!r}; leave it out")
        rows.append((*begin, *tokens, *end))
        if tokenizer.unknown_id in tokens:
            untold = tokenizer.untold(text)
            spelled_N[place] = spelling_nats(untold.unknown_bytes + untold.unknowns)
            unknowns_N[place] = untold.unknowns
    distinct = {row: place for place, row in enumerate(dict.fromkeys(rows))}
    spans = [(len(begin), len(row) - len(end)) for row in distinct]
    found_N = span_log_probs(
        model, params, list(distinct), spans, tokenizer.start_id, objective, on_scored=on_scored
    )
    log_probs_N = found_N[[distinct[row] for row in rows]] - spelled_N
    tokens_N = np.array([len(row) - len(begin) - len(end) for row in rows], np.int64)
    return TextScores(log_probs_N, tokens_N, unknowns_N)


def check_scores_texts(objective: Objective, model: LanguageModel) -> None:
    """Raises UserError for a model that was not trained to predict texts that have no source."""
    if objective.needs_source or not objective.scores_text:
        raise UserError(
            f"this model predicts no texts by themselves: its nats are {objective.nats_of(model)}; "
            "choose one that was trained by objective.name 'causal' or 'masked'"
        )


def span_log_probs(
    model: LanguageModel,
    params: Any,
    rows: Sequence[Sequence[int]],
    spans: Sequence[tuple[int, int]],
    start_id: int,
    objective: Objective = CAUSAL,
    *,
    on_scored: Callable[[int], None] | None = None,
) -> np.ndarray:
    """`log_probs_N` in float64: of the tokens of each row from the first place of its span to, but
    not with, the second, given what the row has beside, and `start_id` before it.

    Rows of about one length are read together, padded to one of a few lengths, so that few
    programs are compiled; no result depends on it. Raises UserError for a row that is longer than
    the model's context.
    """
    longest = model.longest_context
    for place, row in enumerate(rows):
        if longest is not None and len(row) > longest:
            raise UserError(
                f"text {place + 1} takes {len(row)} tokens, more than the model's longest context, "
                f"{longest}; shorten it"
            )
    found_N = np.zeros(len(rows))
    for places_N, batch_size in _groups(rows, model.vocabulary_size):
        stream = stream_of_rows([rows[place] for place in places_N], start_id)
        policy = ContextPolicy("documents", longest=longest or int(stream.counts.tokens))
        log_probs_K = target_log_probs(model, params, stream, policy, batch_size, objective)
        sums_K = np.concatenate([[0.0], np.cumsum(log_probs_K)])
        for place, start in zip(places_N, stream.document_starts_M, strict=True):
            first, last = spans[place]
            found_N[place] = sums_K[start + last] - sums_K[start + first]
        if on_scored:
            on_scored(len(places_N))
    return found_N


def stream_of_rows(rows: Sequence[Sequence[int]], start_id: int) -> TokenStream:
    """A stream whose documents are rows of tokens, of no text."""
    lengths_M = np.array([len(row) for row in rows], np.int64)
    starts_M = np.cumsum(lengths_M) - lengths_M
    tokens_N = np.concatenate([np.asarray(row, np.int32) for row in rows])
    counts = Counts(tokens=len(tokens_N), documents=len(rows), segments=1)
    segments = Segments.of_rows([(0, 0, 0)])
    return TokenStream(tokens_N, starts_M, counts, "-", start_id, segments)


def _groups(rows: Sequence[Sequence[int]], vocabulary: int) -> Iterator[tuple[np.ndarray, int]]:
    """Places of rows of about one length, and how many of them are to be read at a time."""
    buckets_N = np.array([bucket_length(len(row)) for row in rows])
    for bucket in np.unique(buckets_N)[::-1]:
        places_N = np.flatnonzero(buckets_N == bucket)
        fitting = max(1, MOST_LOGITS // (int(bucket) * vocabulary))
        batch_size = min(MOST_ROWS, 1 << (fitting.bit_length() - 1))
        batch_size = min(batch_size, 1 << (len(places_N) - 1).bit_length())
        for begin in range(0, len(places_N), ROWS_AT_ONCE):
            yield places_N[begin : begin + ROWS_AT_ONCE], batch_size
