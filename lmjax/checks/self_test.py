"""Whether this machine computes what the models say: every family against float64, leaf by leaf.

The reference runs one operation after the other on the CPU in float64, and takes its
log-probabilities from the logits, not by the model's own `log_probs`.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.checks.probes import drawn_stream
from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.model_defaults import sections_of
from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.models.registry import build_model
from lmjax.nn.leaves import leaf_name
from lmjax.runs.environment import core_count

# Few different shapes: without jit, each operation is compiled once for each of them.
VOCABULARY, ROWS, LENGTH = 12, 4, 4
SMALL = dict(layers=1, width=12, feed_forward_width=12, context_length=4, span=4, order=2)
SPREAD = np.float32(0.3)  # of the parameters, so that each of them matters


@dataclass(frozen=True)
class Mode:
    """A way of computing in float32, and the error that its rounding may cause."""

    jit: bool
    precision: str  # of matrix products
    tolerance: float

    def __str__(self) -> str:
        jit = "jit" if self.jit else "no jit"
        return jit if self.precision == "default" else f"{jit}, {self.precision} precision"


# Float32 rounds at 6e-8; on CPUs, errors of up to 4e-7 were seen. Those of accelerators are
# estimates: they sum in another order and have coarser elementary functions, and their default
# products read 10 bits of mantissa (TF32) or 7 (bfloat16), which round at 5e-4 and 4e-3.
CPU_MODES = (Mode(True, "default", 1e-5), Mode(False, "default", 1e-5))
ACCELERATOR_MODES = (
    Mode(True, "highest", 1e-4),
    Mode(True, "default", 5e-2),
    Mode(False, "highest", 1e-4),
    Mode(False, "default", 5e-2),
)


@dataclass(frozen=True)
class Check:
    """One family on one device in one mode."""

    family: str
    device: str
    mode: Mode
    quantity: str  # the first one out of tolerance; if all are within, the one furthest off
    error: float  # its largest difference, as a share of the reference's largest value

    @property
    def passed(self) -> bool:
        """Whether all quantities are within the tolerance."""
        return self.error <= self.mode.tolerance

    def __str__(self) -> str:
        return (
            f"{self.family} on {self.device}, {self.mode}: {self.quantity} is off by "
            f"{self.error:.1e} of its size; at most {self.mode.tolerance:.0e} is due to rounding"
        )


class Quantities(NamedTuple):
    """What is compared, in this order."""

    log_probs_BT: jax.Array
    carry: Any
    gradient: Any  # of the mean nats; None for a counted model


def plan(devices: list[jax.Device]) -> list[tuple[jax.Device, Mode]]:
    """Every device in every mode; virtual CPU devices are one CPU, and the first stands for all."""
    chosen = [device for device in devices if device.platform != "cpu"]
    chosen += [device for device in devices if device.platform == "cpu"][:1]
    return [
        (device, mode)
        for device in chosen
        for mode in (CPU_MODES if device.platform == "cpu" else ACCELERATOR_MODES)
    ]


def self_test(
    planned: list[tuple[jax.Device, Mode]],
    families: Iterable[str],
    advance: Callable[[], None] = lambda: None,
) -> list[Check]:
    """The checks of each family, after each of which `advance` is called, perhaps in a thread.

    Raises UserError if jax may not use the CPU.
    """
    try:
        cpu = jax.devices("cpu")[0]
    except RuntimeError as error:
        raise UserError(
            "the reference is computed on the CPU, which JAX_PLATFORMS leaves out; add ',cpu' to it"
        ) from error

    def check_family(family: str) -> list[Check]:
        model, params = small_model(family)
        expected, checks = reference(model, params, cpu), []
        for device, mode in planned:
            try:
                found = compute(model, params, device, mode)
                quantity, error = compare(found, expected, mode.tolerance)
            except jax.errors.JaxRuntimeError as failure:
                quantity, error = f"what failed ({str(failure).splitlines()[0]})", np.inf
            checks.append(Check(family, str(device), mode, quantity, error))
            advance()
        return checks

    with ThreadPoolExecutor(core_count()) as pool:  # nearly all of the time goes into compiling
        return [check for checks in pool.map(check_family, families) for check in checks]


def small_model(family: str) -> tuple[LanguageModel, Any]:
    """A model and its parameters in NumPy, counted or drawn."""
    config = model_config(family)
    for section in sections_of(config).values():
        section.update({field: size for field, size in SMALL.items() if field in section})
    tokenizer = SimpleNamespace(vocabulary_size=VOCABULARY, end_id=None, special_id={}.get)
    tokenizer.source = tokenizer.target = tokenizer
    model = build_model(config, tokenizer)
    if model.is_counted:
        return model, jax.device_get(model.fit([drawn_stream(model)]))
    shapes = jax.eval_shape(model.init, jax.random.key(0), draw(model)[0])
    generator = np.random.default_rng(0)
    return model, jax.tree.map(
        lambda leaf: SPREAD * generator.standard_normal(leaf.shape, np.float32),
        nn.meta.unbox(shapes),
    )


def reference(model: LanguageModel, params: Any, cpu: jax.Device) -> Quantities:
    """The quantities in float64, without jit."""
    with jax.enable_x64(True), jax.default_device(cpu), jax.disable_jit():
        return jax.device_get(
            quantities(log_probs_of_logits, model, in_float64(params), draw(model))
        )


def compute(model: LanguageModel, params: Any, device: jax.Device, mode: Mode) -> Quantities:
    """The quantities as training computes them, on a device in a mode."""
    read = partial(quantities, log_probs_of_training, model)
    with (
        jax.default_device(device),
        jax.default_matmul_precision(mode.precision),
        nullcontext() if mode.jit else jax.disable_jit(),
    ):
        return jax.device_get(jax.jit(read)(*jax.device_put((params, draw(model)), device)))


def compare(found: Quantities, expected: Quantities, tolerance: float) -> tuple[str, float]:
    """`quantity, error` of a `Check`."""
    worst = "", -1.0
    pairs = zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True)
    for (path, leaf), reference_leaf in pairs:
        error = relative_error(leaf, reference_leaf)
        if error > tolerance:
            return leaf_name(path), error
        worst = max(worst, (leaf_name(path), error), key=lambda pair: pair[1])
    return worst


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference as a share of the largest expected value; infinite if not finite."""
    difference, size = np.abs(np.float64(found) - expected).max(), np.abs(expected).max()
    if difference == 0:
        return 0.0
    return float(difference / size) if np.isfinite(difference) and size else np.inf


def quantities(log_probs: Callable, model: LanguageModel, params: Any, batch) -> Quantities:
    """The quantities for a `batch` as `draw` makes it, read from a fresh carry."""
    tokens_BT, targets_BT, source, context = batch

    def mean_nats(params):
        carry = initial_carry(model, params, *tokens_BT.shape, **source)
        log_probs_BT, after = log_probs(model, params, tokens_BT, targets_BT, carry, **context)
        return -log_probs_BT.mean(), (log_probs_BT, after)

    if model.is_counted:
        return Quantities(*mean_nats(params)[1], None)
    gradient, outputs = jax.grad(mean_nats, has_aux=True)(params)
    return Quantities(*outputs, gradient)


def log_probs_of_training(model, params, *batch, **context):
    """`log_probs_BT, carry` by the model's own method."""
    return model.apply(params, *batch, **context, method="log_probs")


def log_probs_of_logits(model, params, tokens_BT, targets_BT, carry, **context):
    """`log_probs_BT, carry` by a softmax of the logits, in their own type."""
    logits_BTV, carry = model.apply(params, tokens_BT, carry, **context)
    # Both directions' log-probabilities are given as they are: their sum is no distribution.
    all_BTV = logits_BTV if model.reads == "each_side" else jax.nn.log_softmax(logits_BTV)
    return jnp.take_along_axis(all_BTV, targets_BT[..., None], axis=-1)[..., 0], carry


def in_float64(params: Any) -> Any:
    """The parameters with every float in float64."""
    return jax.tree.map(
        lambda leaf: np.float64(leaf) if np.issubdtype(leaf.dtype, np.floating) else leaf, params
    )


def draw(model: LanguageModel) -> tuple[np.ndarray, np.ndarray, dict, dict]:
    """`tokens_BT, targets_BT, source, context`: rows of two segments, or of one with a source."""
    generator = np.random.default_rng(1)
    shape = 3, ROWS, LENGTH
    tokens_BT, targets_BT, source_BS = generator.integers(0, VOCABULARY, shape).astype(np.int32)
    if model.reads == "source":
        return tokens_BT, targets_BT, {"source_BS": source_BS}, {}
    segment_ids_BT = np.repeat([[0, 0, 1, 1]], ROWS, 0).astype(np.int32)
    return tokens_BT, targets_BT, {}, {"segment_ids_BT": segment_ids_BT}
