"""Scores any model on a whole stream: every target once, whatever the batch size."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from lmjax.data.batch import Batch
from lmjax.data.context import CONTEXTS, ContextPolicy
from lmjax.data.streams import (
    Counts,
    Segments,
    TokenStream,
    source_stream_of,
    stream_of,
    with_source,
)
from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import DivergedError, UserError, nearest
from lmjax.evaluation.score import Score, spelling_nats
from lmjax.models.contract import (
    Carry,
    LanguageModel,
    initial_carry,
    predicts_from_hidden_states,
    restart_rows,
)
from lmjax.objectives.causal import Causal
from lmjax.objectives.contract import Objective
from lmjax.runs.devices import most_devices

AHEAD = 4  # batches under way before the first one's result is waited for
KIND_OF_FIELD = {  # of config.evaluation, that say what the context is
    "context": None,
    "rows": "carried",
    "overlap": "carried",
    "window": "windowed",
    "stride": "windowed",
}
CAUSAL = Causal()
CHUNK_TOKENS = 1024  # carried: tokens of a batch, over all its rows; changes no score
COUNTED_CHUNK_TOKENS = 1 << 14  # of a counted model, which does little for each of them


def context_policy(config: ConfigDict, model: LanguageModel) -> ContextPolicy:
    """The context that `config.evaluation` gives each target; read by document if trained so.

    Raises UserError for an unknown kind of context, or one that is longer than the model's.
    """
    evaluation, longest = config.evaluation, model.longest_context
    if evaluation.context == "carried":
        if longest is not None:
            raise UserError(
                f"model {config.model.name!r} takes in {longest} tokens at most, so its state "
                "can't be carried over a whole split; set evaluation.context to 'windowed'"
            )
        by_document = config.data.resets == "documents" or config.data.batching == "packed"
        tokens = COUNTED_CHUNK_TOKENS if model.is_counted else CHUNK_TOKENS
        chunk = max(1, tokens // max(1, evaluation.rows))
        return ContextPolicy(
            "carried",
            rows=evaluation.rows,
            overlap=evaluation.overlap,
            by_document=by_document and not model.is_counted,
            chunk=chunk,
        )
    if evaluation.context == "documents":
        limit = {} if longest is None else {"longest": longest}
        return ContextPolicy("documents", **limit)
    if evaluation.context != "windowed":
        hint = nearest(evaluation.context, CONTEXTS)
        raise UserError(f"unknown evaluation.context {evaluation.context!r}: {hint}")
    window = evaluation.window or config.data.length
    if longest is not None and window > longest:
        raise UserError(
            f"evaluation.window is {window}, but model {config.model.name!r} takes in {longest} "
            "tokens at most; give a shorter window"
        )
    return ContextPolicy("windowed", window=window, stride=evaluation.stride or window)


def with_context(config: ConfigDict, fields: dict[str, Any]) -> ConfigDict:
    """The configuration with these fields of `evaluation` that say what the context is.

    Raises UserError for a field that is none of them, or does not apply to the kind of context.
    """
    kind = fields.get("context", config.evaluation.context)
    for name in fields:
        if name not in KIND_OF_FIELD:
            raise UserError(f"a context has no field {name!r}: {nearest(name, KIND_OF_FIELD)}")
        if KIND_OF_FIELD[name] not in (None, kind):
            raise UserError(
                f"{name} is of a {KIND_OF_FIELD[name]} context, and this one is {kind}; leave it "
                f"out or give context={KIND_OF_FIELD[name]}"
            )
    config = ConfigDict(config.to_dict())
    config.evaluation.update(fields)
    return config


def score_stream(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    batch_size: int,
    objective: Objective = CAUSAL,
    *,
    on_scored: Callable[[int], None] | None = None,
) -> Score:
    """The model's score on all targets of `stream`, each scored once under `policy`.

    What is predicted of it says the `objective`; if that is not its tokens, the text's counts don't
    apply and are 0. `batch_size` is how many windows or documents are scored at a time; no score
    depends on it. Rows are spread over as many devices as divide them. `on_scored` is given the
    number of targets scored, after every batch. Log-probabilities are summed in float64, segment by
    segment.

    Raises UserError if one is not finite.
    """
    segments = stream.segments
    nats_G = np.zeros(len(segments.starts_G))
    scored_G = np.zeros(len(nats_G), np.int64)
    right_G = np.zeros_like(scored_G)
    targets = _scored_targets(model, params, stream, policy, batch_size, objective)
    for places_N, log_probs_N, is_right_N in targets:
        segment_N = segments.of_targets(places_N)
        nats_G -= np.bincount(segment_N, log_probs_N, len(nats_G))
        scored_G += np.bincount(segment_N, minlength=len(nats_G))
        if is_right_N is not None:
            right_G += np.bincount(segment_N[is_right_N], minlength=len(right_G))
        if on_scored:
            on_scored(len(log_probs_N))
    score = _score(stream, nats_G, scored_G, policy.name, objective, model)
    if not objective.tells_right:
        return score
    columns = score.segments | {"right": right_G.tolist()}
    return replace(score, right=int(right_G.sum()), segments=columns)


def target_log_probs(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    batch_size: int,
    objective: Objective = CAUSAL,
    dropout_key: jax.Array | None = None,
) -> np.ndarray:
    """`log_probs_N` of the targets of a text, in its order, in float64; as `score_stream`.

    With a key there is dropout, whose masks are a function of the key and the batch.
    """
    log_probs_N = np.full(stream.counts.tokens, np.nan)
    for places_N, found_N, _ in _scored_targets(
        model, params, stream, policy, batch_size, objective, dropout_key
    ):
        log_probs_N[places_N] = found_N
    return log_probs_N


def score_of_targets(
    log_probs_N: np.ndarray,
    stream: TokenStream,
    context: str,
    model: LanguageModel,
    objective: Objective = CAUSAL,
) -> Score:
    """The score of log-probabilities of a text's targets, as `target_log_probs` gives them."""
    segments = stream.segments
    segment_N = segments.of_targets(np.arange(len(log_probs_N)))
    nats_G = -np.bincount(segment_N, log_probs_N, len(segments.starts_G))
    scored_G = np.bincount(segment_N, minlength=len(nats_G))
    return _score(stream, nats_G, scored_G, context, objective, model)


def _score(
    stream: TokenStream,
    nats_G: np.ndarray,
    scored_G: np.ndarray,
    context: str,
    objective: Objective,
    model: LanguageModel,
) -> Score:
    segments, counts = stream.segments, stream.counts
    if not objective.scores_text:
        counts = Counts(tokens=int(scored_G.sum()))
        segments = Segments(segments.starts_G, *np.zeros((2, len(nats_G)), np.int64))
    elif (scored_G != segments.tokens_G(counts.tokens)).any():
        raise RuntimeError(f"{scored_G.sum()} targets were scored in a stream of {counts.tokens}")
    return Score(
        total_nats=math.fsum(nats_G),
        spelling_nats=spelling_nats(int(segments.spelled_G.sum())),
        tokens=counts.tokens,
        words=counts.words,
        bytes=counts.bytes,
        characters=counts.characters,
        unknowns=counts.unknowns,
        dropped_bytes=counts.dropped_bytes,
        ends_of_line=counts.ends_of_line,
        nats_of=objective.nats_of(model),
        context=context,
        fingerprint=stream.fingerprint,
        segments={
            "nats": nats_G.tolist(),
            "spelling_nats": [spelling_nats(symbols) for symbols in segments.spelled_G.tolist()],
            "tokens": scored_G.tolist(),
            "bytes": segments.bytes_G.tolist(),
            **stream.segment_columns,
        },
    )


def score_text(
    model: LanguageModel,
    params: Any,
    tokenizer: Tokenizer,
    text: str,
    source: str | None = None,
    objective: Objective = CAUSAL,
    document_end: bool = False,
) -> Score:
    """The score of one text, read with all the context that the model can take in.

    A model of limited context scores each token after at least half of it, or all that there is.
    With a source, the text is one document that follows it. Raises UserError if the text is empty
    or outside the vocabulary, for a source that is lacking or in vain, and for a model that does
    not predict texts.
    """
    if objective.needs_source and source is None:
        raise UserError("the model predicts a text from its source; give source=...")
    if source is not None and not objective.needs_source:
        raise UserError("the model was not trained on texts with a source; leave source out")
    if not objective.scores_text:
        raise UserError(
            f"what the model was trained to predict, {objective.nats_of(model)}, is no text, so it "
            "has no score of one"
        )
    stream = stream_of([text], tokenizer, document_end)
    policy = ContextPolicy("carried", chunk=CHUNK_TOKENS)
    if source is not None:
        stream = with_source(stream, source_stream_of([(source,)], tokenizer.source))
        policy = ContextPolicy("documents")
    elif model.longest_context is not None:
        window = min(model.longest_context, stream.counts.tokens)
        policy = ContextPolicy("windowed", window=window, stride=-(-window // 2))
    elif not objective.carries:
        policy = ContextPolicy("documents")
    return score_stream(model, params, stream, policy, 8, objective)


@partial(jax.jit, static_argnames=("model", "objective", "last"))
def batch_predictions(
    model: LanguageModel,
    params: Any,
    batch: Batch,
    carry: Carry,
    fresh: Carry,
    objective: Objective = CAUSAL,
    dropout_key: jax.Array | None = None,
    last: int | None = None,
) -> tuple[jax.Array, jax.Array | None, Carry]:
    """What the objective predicts; rows that continue nothing begin with the `fresh` carry.

    Where no other targets count than the `last` ones of each row, a model that shows its hidden
    states forms no logits of the others, whose log-probabilities are then 0.
    """
    carry = restart_rows(carry, fresh, batch.continues_B)
    if last and objective == CAUSAL and dropout_key is None and predicts_from_hidden_states(model):
        hidden_BTD, carry = model.apply(
            params, batch.tokens_BT, carry, method="hidden_states", **batch.inputs()
        )
        of_last = hidden_BTD[:, -last:], batch.targets_BT[:, -last:]
        log_probs_BT = model.apply(params, *of_last, method="output_log_probs")
        before = batch.targets_BT.shape[1] - log_probs_BT.shape[1]
        return jnp.pad(log_probs_BT, ((0, 0), (before, 0))), None, carry
    context = {}
    if dropout_key is not None:
        context = dict(deterministic=False, rngs={"dropout": dropout_key})
    return objective.predict(model, params, batch, carry, **context)


def _scored_targets(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    batch_size: int,
    objective: Objective,
    dropout_key: jax.Array | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """`places_N, log_probs_N, is_right_N` of each batch's targets; raises if one is not finite."""
    scored = model, params, stream, policy, batch_size, objective, dropout_key
    results = ahead(scored_batches(*scored))
    for batch, places_BT, log_probs_BT, is_right_BT in results:
        is_scored_BT = batch.weights_BT > 0
        log_probs_N = np.asarray(log_probs_BT, np.float64)[is_scored_BT]
        places_N = places_BT[is_scored_BT]
        check_finite(log_probs_N, places_N, stream)
        right_N = None if is_right_BT is None else np.asarray(is_right_BT)[is_scored_BT]
        yield places_N, log_probs_N, right_N


def scored_batches(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    batch_size: int,
    objective: Objective,
    dropout_key: jax.Array | None = None,
    predict: Callable[..., tuple] = batch_predictions,
) -> Iterator[tuple[Batch, np.ndarray, jax.Array, jax.Array | None]]:
    """Each batch, its `places_BT`, and what is predicted, which devices may still work on.

    `predict` is one that takes and returns what `batch_predictions` does; the second of what it
    returns may be anything.
    """
    carried = policy.kind == "carried"
    rows = policy.rows if carried else batch_size
    devices = jax.local_devices()
    count = most_devices(rows, len(devices))
    mesh = jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,), devices=devices[:count])
    spread = NamedSharding(mesh, PartitionSpec("data"))
    params = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
    fresh = initial_carry(model, params, rows, len(stream.tokens_N)) if carried else None
    carry = fresh = jax.device_put(fresh, spread)
    batches = objective.evaluation_batches(stream, policy, batch_size)
    for index, (batch, places_BT) in enumerate(batches):
        placed = jax.device_put(batch, spread)
        key = None if dropout_key is None else jax.random.fold_in(dropout_key, index)
        overlap = policy.kind == "windowed" and 0 < policy.stride < policy.window
        last = policy.stride if overlap and index else None  # of the first window all count
        *predicted, carry = predict(model, params, placed, carry, fresh, objective, key, last)
        yield batch, places_BT, *predicted


def check_finite(log_probs_N: np.ndarray, places_N: np.ndarray, stream: TokenStream) -> None:
    """Raises DivergedError, naming the first of the targets at these places that is not finite."""
    is_bad_N = ~np.isfinite(log_probs_N)
    if is_bad_N.any():
        first = places_N[is_bad_N].min()
        raise DivergedError(
            f"target {first} (token {stream.tokens_N[first]}) has the log-probability "
            f"{log_probs_N[places_N == first][0]}: the model's parameters are broken; go back "
            "to an earlier checkpoint"
        )


def ahead(results: Iterator) -> Iterator:
    """The same results, of which AHEAD more are under way when one is given."""
    under_way = deque()
    for result in results:
        under_way.append(result)
        if len(under_way) > AHEAD:
            yield under_way.popleft()
    yield from under_way
