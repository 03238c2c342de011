"""Monte Carlo dropout: a model's predictions averaged over masks of its dropout.

Gal and Ghahramani (2016), section 5.1. The mean of probabilities that sum to one does so as well.
"""

import math
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from lmjax.data.context import ContextPolicy
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.evaluation.scoring import target_log_probs
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective


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
    `length` tokens of a carried text, as in training, and for a window or document. Raises
    UserError for fewer than one pass, a model without dropout, and as `target_log_probs`.
    """
    if passes < 1:
        raise UserError(f"{passes} passes of Monte Carlo dropout; give at least 1")
    policy = replace(policy, chunk=length)
    scored = model, params, stream, policy, batch_size, objective
    total_N, nats = np.full(stream.counts.tokens, -np.inf), []
    for index in range(passes):
        key = jax.random.fold_in(jax.random.key(seed), index)
        log_probs_N = target_log_probs(*scored, dropout_key=key)
        if not index and np.array_equal(log_probs_N, target_log_probs(*scored)):
            raise UserError("nothing is dropped out in this model; evaluate it without mc_dropout")
        total_N = np.logaddexp(total_N, log_probs_N)
        nats.append(float(math.log(index + 1) * len(total_N) - total_N.sum()))
    return total_N - math.log(passes), nats
