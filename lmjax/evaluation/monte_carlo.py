"""Monte Carlo dropout: a model's predictions averaged over masks of its dropout.

Gal and Ghahramani (2016), section 5.1. The mean of probabilities that sum to one does so as well.
"""

import math
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.interpreters.partial_eval import dce_jaxpr

from lmjax.data.batch import Batch
from lmjax.data.context import ContextPolicy
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.evaluation.scoring import target_log_probs
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective


def check_averaging(
    model: LanguageModel, params: Any, batch: Batch, objective: Objective, passes: int
) -> None:
    """Raises UserError for fewer than one pass, and a model that no key of dropout changes.

    Nothing is scored: whether what is predicted depends on a key is seen as `batch` is traced.
    """
    if passes < 1:
        raise UserError(f"{passes} passes of Monte Carlo dropout; give at least 1")

    def predict(key):
        rngs = {"dropout": key}
        return objective.predict(model, params, batch, None, deterministic=False, rngs=rngs)[0]

    jaxpr = jax.make_jaxpr(predict)(jax.random.key(0)).jaxpr
    _, (is_key_used,) = dce_jaxpr(jaxpr, [True])
    if not is_key_used:
        raise UserError("nothing is dropped out in this model; evaluate it without mc_dropout")


def averaged_log_probs(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    batch_size: int,
    objective: Objective,
    *,
    passes: int,
    length: int,
    seed: int = 0,
) -> tuple[np.ndarray, list[float]]:
    """`log_probs_N` of the mean probabilities of so many passes; the nats of the first, two, ...

    Masks are a function of `(seed, pass, batch)`; those that stay the same along time do so for
    `length` tokens of a carried text, as in training, and for a window or document. Raises as
    `target_log_probs`.
    """
    policy = replace(policy, chunk=length)
    scored = model, params, stream, policy, batch_size, objective
    total_N, nats = np.full(stream.counts.tokens, -np.inf), []
    for index in range(passes):
        key = jax.random.fold_in(jax.random.key(seed), index)
        log_probs_N = target_log_probs(*scored, dropout_key=key)
        total_N = np.logaddexp(total_N, log_probs_N)
        nats.append(float(math.log(index + 1) * len(total_N) - total_N.sum()))
    return total_N - math.log(passes), nats
