"""Dynamic evaluation: a step of gradient descent on each part of a text once it is scored."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.context import ContextPolicy
from lmjax.data.streams import TokenStream
from lmjax.errors import DivergedError, UserError, nearest
from lmjax.evaluation.scoring import check_finite
from lmjax.models.contract import Carry, LanguageModel, initial_carry, restart_rows
from lmjax.objectives.contract import Objective

# Learning rates and decays that are tried of each rule.
RATES = {"sgd": (1e-3, 1e-2, 1e-1, 1.0), "rms": (1e-4, 3e-4, 1e-3, 3e-3)}
DECAYS = (0.0, 3e-3, 3e-2)
EPSILON = 1e-3  # added to the root mean square of a gradient
ROWS, BATCHES = 32, 100  # of the training text, from whose gradients the mean square is taken


@dataclass(frozen=True)
class DynamicEvaluation:
    """Parameters that follow the text (Krause et al. 2018, section 4).

    After each part of the text is scored, `params += decay d (trained - params) - learning_rate g /
    s`, g being the gradient of the mean nats of its targets. With `sgd`, d and s are 1. With
    `rms`, s is the root mean square of each gradient over the training text, plus EPSILON, and d
    that root divided by its mean over all parameters, but no more than 1 / decay. Raises UserError
    for an unknown rule, and values out of range.
    """

    rule: str  # sgd | rms
    learning_rate: float
    decay: float  # lambda
    segment: int  # carried: targets of a part; a window's are its stride

    def __post_init__(self):
        if self.rule not in RATES:
            raise UserError(
                f"unknown rule {self.rule!r} of dynamic evaluation: {nearest(self.rule, RATES)}"
            )
        if self.segment < 1 or self.learning_rate < 0 or not 0 <= self.decay <= 1:
            raise UserError(
                f"dynamic evaluation by segments of {self.segment}, with the learning rate "
                f"{self.learning_rate} and the decay {self.decay}; give at least 1, at least 0, "
                "and 0 to 1"
            )

    @property
    def name(self) -> str:
        """What a context's name says of it."""
        return f"dynamic_{self.rule}_{self.segment}"


def followed(policy: ContextPolicy, segment: int) -> ContextPolicy:
    """The context in one row, so that each part is scored before the next; else UserError."""
    if policy.kind == "documents":
        raise UserError(
            "dynamic evaluation follows a text from its beginning to its end; give the context "
            "carried or windowed"
        )
    return replace(policy, rows=1, overlap=0, chunk=segment)


def dynamic_log_probs(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    objective: Objective,
    dynamic: DynamicEvaluation,
    roots: Any = None,
    targets: int = 0,
) -> np.ndarray:
    """`log_probs_N` of the targets of a text, in its order, or of about its first `targets`.

    `params` are left as they are. `roots` are those of `gradient_roots`, for the rule `rms`. Raises
    UserError if a target has no finite log-probability, and for a context of documents.
    """
    policy = followed(policy, dynamic.segment)
    carry = fresh = initial_carry(model, params, 1, len(stream.tokens_N))
    if policy.kind != "carried":
        carry = fresh = None
    now = jax.tree.map(jnp.array, params)  # a copy, since each step gives its own away
    log_probs_N = np.full(stream.counts.tokens, np.nan)
    scored, limit = 0, targets or len(log_probs_N)
    numbers = dynamic.learning_rate, dynamic.decay
    for batch, places_BT in objective.evaluation_batches(stream, policy, 1):
        given = batch, carry, fresh
        found_BT, now, carry = _score_and_step(
            model, objective, now, params, roots, *given, *numbers
        )
        is_scored_BT = batch.weights_BT > 0
        places_N = places_BT[is_scored_BT]
        log_probs_N[places_N] = np.asarray(found_BT, np.float64)[is_scored_BT]
        check_finite(log_probs_N[places_N], places_N, stream)
        scored += len(places_N)
        if scored >= limit:
            break
    return log_probs_N[:scored]


@partial(jax.jit, static_argnames=("model", "objective"), donate_argnames="now")
def _score_and_step(
    model: LanguageModel,
    objective: Objective,
    now: Any,
    trained: Any,
    roots: Any,
    batch: Batch,
    carry: Carry,
    fresh: Carry,
    learning_rate: jax.Array,
    decay: jax.Array,
) -> tuple[jax.Array, Any, Carry]:
    """`log_probs_BT` by the parameters `now`, and those and the carry after it."""
    carry = restart_rows(carry, fresh, batch.continues_B)
    (_, (log_probs_BT, carry)), gradient = _nats_and_gradient(model, objective, now, batch, carry)
    if roots is None:
        after = jax.tree.map(
            lambda p, g, t: p - learning_rate * g + decay * (t - p), now, gradient, trained
        )
        return log_probs_BT, after, carry
    leaves = jax.tree.leaves(roots)
    mean_root = sum(leaf.sum() for leaf in leaves) / sum(leaf.size for leaf in leaves)

    def step(p, g, t, root):
        pull = jnp.minimum(decay * root / mean_root, 1.0)
        return p - learning_rate * g / (root + EPSILON) + pull * (t - p)

    return log_probs_BT, jax.tree.map(step, now, gradient, trained, roots), carry


def _nats_and_gradient(model, objective, params, batch, carry):
    def mean_nats(params):
        log_probs_BT, _, after = objective.predict(model, params, batch, carry)
        count = jnp.maximum(batch.weights_BT.sum(), 1.0)
        return -(log_probs_BT * batch.weights_BT).sum() / count, (log_probs_BT, after)

    return jax.value_and_grad(mean_nats, has_aux=True)(params)


def gradient_roots(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    objective: Objective,
    segment: int,
) -> Any:
    """The root of the mean square of each parameter's gradient over BATCHES of the training text.

    A batch is ROWS parts as `dynamic_log_probs` steps by, of the text from ROWS places on.
    """
    policy = replace(followed(policy, segment), rows=ROWS)
    carry = fresh = initial_carry(model, params, ROWS, len(stream.tokens_N))
    if policy.kind != "carried":
        carry = fresh = None

    @jax.jit
    def add(squares, batch, carry):
        carry = restart_rows(carry, fresh, batch.continues_B)
        (_, (_, after)), gradient = _nats_and_gradient(model, objective, params, batch, carry)
        return jax.tree.map(lambda s, g: s + jnp.square(g), squares, gradient), after

    squares, count = jax.tree.map(jnp.zeros_like, params), 0
    for batch, _ in islice(objective.evaluation_batches(stream, policy, ROWS), BATCHES):
        squares, carry = add(squares, batch, carry)
        count += 1
    return jax.tree.map(lambda leaf: jnp.sqrt(leaf / count), squares)


def tune_dynamic(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    objective: Objective,
    rule: str,
    segment: int,
    roots: Any,
    rates: Sequence[float] = (),
    decays: Sequence[float] = (),
    targets: int = 0,
) -> tuple[DynamicEvaluation, list[dict]]:
    """What gives about the first `targets` of a validation text the fewest nats; what was tried.

    0: all of them. Empty rates and decays are RATES and DECAYS; those that go astray are passed
    over. Raises UserError if all do.
    """
    tried = []
    for rate in rates or RATES[rule]:
        for decay in decays or DECAYS:
            dynamic, nats = DynamicEvaluation(rule, rate, decay, segment), None
            given = model, params, stream, policy, objective, dynamic, roots, targets
            with suppress(DivergedError):
                nats = -math.fsum(dynamic_log_probs(*given))
            tried.append({"learning_rate": rate, "decay": decay, "total_nats": nats})
    finite = [trial for trial in tried if trial["total_nats"] is not None]
    if not finite:
        raise UserError(
            f"with each of the learning rates {[trial['learning_rate'] for trial in tried]} the "
            "parameters broke; give lower ones"
        )
    best = min(finite, key=lambda trial: trial["total_nats"])
    return DynamicEvaluation(rule, best["learning_rate"], best["decay"], segment), tried
