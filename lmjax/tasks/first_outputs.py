"""What a model with a head gives of each document: its first output, with padding nowhere."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.documents import Document
from lmjax.data.source_rows import encode_sources, source_batches
from lmjax.errors import DivergedError
from lmjax.models.contract import LanguageModel
from lmjax.tasks.contract import Answering


def first_outputs(
    trained: Answering,
    documents: Sequence[Document],
    on_answered: Callable[[int], None] | None = None,
) -> np.ndarray:
    """`outputs_NV` in float64: of each document what the model gives after the start token.

    Raises UserError, naming the document, for a source that is empty or too long, and
    DivergedError for outputs that are not finite.
    """
    model, tokenizer = trained.model, trained.tokenizer
    longest = model.longest_context
    cut = trained.config.data.cut_sources
    rows = encode_sources(documents, tokenizer.source, longest, cut)
    batches = source_batches(rows, trained.config.data.batch_size, longest)
    places, outputs = [], []
    for places_N, source_BS, weights_BS in batches:
        found_BV = _outputs(model, trained.params, tokenizer.start_id, source_BS, weights_BS)
        found_NV = np.asarray(found_BV, np.float64)[: len(places_N)]
        for place, found_V in zip(places_N, found_NV, strict=True):
            check_finite(documents[place], found_V)
        places.append(places_N)
        outputs.append(found_NV)
        if on_answered:
            on_answered(len(places_N))
    return np.concatenate(outputs)[np.argsort(np.concatenate(places))]


def check_finite(document: Document, outputs_V: np.ndarray) -> None:
    """Raises DivergedError, naming the document, if an output for it is not finite."""
    if not np.isfinite(outputs_V).all():
        raise DivergedError(
            f"what the model gives of {document.name} is not finite: its parameters are broken; go "
            "back to an earlier checkpoint"
        )


@partial(jax.jit, static_argnames=("model", "start_id"))
def _outputs(
    model: LanguageModel, params: Any, start_id: int, source_BS: jax.Array, weights_BS: jax.Array
) -> jax.Array:
    tokens_B1 = jnp.full((len(source_BS), 1), start_id, jnp.int32)
    source = {"source_BS": source_BS, "source_weights_BS": weights_BS}
    outputs_BTV, _ = model.apply(params, tokens_B1, None, **source)
    return outputs_BTV[:, 0]
