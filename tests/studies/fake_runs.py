"""Run directories as training writes them, without training."""

import math
from pathlib import Path

from ml_collections import ConfigDict

from lmjax.config import base_config
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.study import Arm, Study

STEPS = (10, 20, 30)


def make_config(model: str = "rnn", **fields) -> ConfigDict:
    """The base configuration with fields of the model changed."""
    config = base_config(model)
    config.update_from_flattened_dict({f"model.{name}": value for name, value in fields.items()})
    return config


def make_study(**fields) -> Study:
    """A study of a counted and two trained arms."""
    arms = (
        Arm("n-gram", make_config("ngram"), choices={"model.order": (2, 3)}),
        Arm("GRU", make_config(cell="gru")),
        Arm("LSTM", make_config(cell="lstm")),
    )
    defaults = {"name": "small", "question": "Which?", "arms": arms, "baseline": "LSTM"}
    return Study(**defaults | fields)


def write_run(
    config: ConfigDict,
    path: Path,
    *,
    validation: float = 2.0,
    test: float | None = 2.1,
    segments: int = 0,
    unknowns: int = 0,
    seconds: float = 15.0,
    parameters: int = 1000,
    sample: str = "",
    text: str = "text",
    nats_of: str | None = None,
    finished: bool = True,
) -> dict:
    """A run whose curve comes down to `validation`, and its results; a counted one has no curve."""
    run = RunDirectory(path)
    run.create(config)
    run.write_environment()
    counted = config.model.name == "ngram"
    for step in () if counted else STEPS:
        row = {"step": step, "tokens": 100 * step, "flops": 1e6 * step, "seconds": 0.5 * step}
        run.append_metrics({"kind": "train", **row, "tokens_per_second": 200.0})
        bits_per_byte = validation + (STEPS[-1] - step) / 10
        evaluation = {"split": "validation", "context": "carried", "bits_per_byte": bits_per_byte}
        run.append_metrics({"kind": "evaluation", **row, **evaluation})
    if not finished:
        return {}
    common = {
        "context": "carried",
        "text_fingerprint": text,
        **({"nats_of": nats_of} if nats_of else {}),
        "bytes": 1200,
        "unknowns": unknowns,
        "spelling_nats": 0.0,
    }
    results = {
        "splits": {
            split: {"bits_per_byte": score, "segments": _segments(score, segments), **common}
            for split, score in (("validation", validation), ("test", test))
            if score is not None
        },
        "parameters": {"total": parameters, "non_embedding": parameters - 300},
        "state_bytes": 64,
        "training_flops_per_token": 9.9e3,
        "training_elementwise_per_token": 1e2,
        "training": {
            "duration": config.training.duration,
            "steps": 0 if counted else STEPS[-1],
            "scored_step": 0 if counted else STEPS[-1],
            "tokens": 3000,
            "distinct_tokens": 2500,
            "seconds": seconds,
        },
    }
    run.write_results(results)
    if sample:
        run.write_samples(sample)
    return results


def _segments(bits_per_byte: float, count: int) -> dict[str, list] | None:
    """So many segments of 100 bytes, easy and hard in turn, whose mean is `bits_per_byte`."""
    if not count:
        return None
    hard = [0.1 * (1 - 2 * (place % 2)) for place in range(count)]
    nats = [100 * math.log(2) * (bits_per_byte + more) for more in hard]
    zeros, hundreds = [0.0] * count, [100] * count
    return {"nats": nats, "spelling_nats": zeros, "tokens": hundreds, "bytes": hundreds}
