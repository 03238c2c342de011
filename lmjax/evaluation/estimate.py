"""The loss on a few random windows: what nanoGPT publishes. An estimate, not a score."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from lmjax.data.streams import TokenStream
from lmjax.data.training_batches import training_batches
from lmjax.evaluation.scoring import batch_predictions
from lmjax.models.contract import LanguageModel


def estimate_on_random_windows(
    model: LanguageModel, params: Any, stream: TokenStream, config: ConfigDict, batches: int
) -> float:
    """Mean nats a token over so many batches of random windows, sized as in training."""
    return float(np.mean(random_window_means(model, params, stream, config, batches)))


def random_window_means(
    model: LanguageModel, params: Any, stream: TokenStream, config: ConfigDict, batches: int
) -> np.ndarray:
    """Nats a token of each of so many batches of random windows."""
    data = ConfigDict({**config.data.to_dict(), "batching": "random_windows", "resets": "none"})
    windows = training_batches(stream, data, config.seed)
    return np.array(
        [
            -float(np.mean(batch_predictions(model, params, next(windows), None, None)[0]))
            for _ in range(batches)
        ]
    )
