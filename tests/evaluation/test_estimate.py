"""The estimate on random windows is of random windows, and not of the stream from its beginning."""

import jax
import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.evaluation.estimate import estimate_on_random_windows
from tests.streams import stream_of
from tests.toy_models import HashModel, hash_log_prob, make_hash_model

TOKENS = np.random.default_rng(0).integers(0, 6, 400)
STREAM = stream_of(TOKENS, start_id=4)


def configuration(**data):
    config = base_config("rnn")
    config.data.update(batch_size=2, length=5, **data)
    return config


@pytest.mark.parametrize("resets", ["random", "documents", "none"])
def test_it_is_the_mean_over_windows_from_anywhere_in_the_text(resets):
    read = []

    class WatchedModel(HashModel):
        def log_probs(self, tokens_BT, targets_BT, *arguments, **context):
            jax.debug.callback(lambda *arrays: read.append(arrays), tokens_BT, targets_BT)
            return super().log_probs(tokens_BT, targets_BT, *arguments, **context)

    _, params, table_NV = make_hash_model()
    model = WatchedModel(vocabulary_size=6)
    config = configuration(resets=resets)
    estimate = estimate_on_random_windows(model, params, STREAM, config, 20)
    jax.effects_barrier()
    assert len(read) == 20
    text = "".join(map(str, TOKENS))
    begins, nats = [], []
    for tokens_BT, targets_BT in read:
        for tokens_T, targets_T in zip(np.asarray(tokens_BT), np.asarray(targets_BT), strict=True):
            window = "".join(map(str, [*tokens_T, targets_T[-1]]))
            begins.append(text.find(window))
            nats += [
                -hash_log_prob(table_NV, tokens_T[: k + 1], target)
                for k, target in enumerate(targets_T)
            ]
    assert estimate == pytest.approx(np.mean(nats), rel=1e-5)
    assert len(set(begins)) > 20 and min(begins) < 100 and max(begins) > 300
    assert begins != sorted(begins)
