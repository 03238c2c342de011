"""The devices that a process computes on: how many, what they are called, how they fail."""

import ctypes
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager

import jax
import psutil

from lmjax.errors import DeviceError, UserError
from lmjax.runs.environment import core_count

MOST_CPU_DEVICES, MOST_ASKED_DEVICES = 8, 256  # where none are asked for, and where some are
# glibc's M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD. By default it gives an array's memory
# back to the system when it is freed, and the next step's page faults took a quarter of the time of
# an LSTM step with 10,000 words.
ALLOCATION = {-8: 1, -3: 1 << 30, -1: (1 << 31) - 1}
DEVICE_FAILURES = ("ABORTED", "DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE")


def prepare_devices(cpu_devices: int = 0) -> None:
    """Asks for virtual CPU devices (0: one a core), if jax has not begun to use its devices.

    XLA threads little of a small model's element-wise work; a device a core does. Raises UserError
    for a number below 0 or above MOST_ASKED_DEVICES, or other than that in use.
    """
    if not 0 <= cpu_devices <= MOST_ASKED_DEVICES:
        raise UserError(
            f"cpu_devices is {cpu_devices}; it is 1 to {MOST_ASKED_DEVICES}, or 0 for one a core"
        )
    _keep_freed_memory()
    wanted = cpu_devices or min(MOST_CPU_DEVICES, core_count())
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError as error:
        if cpu_devices and len(jax.devices("cpu")) != cpu_devices:
            raise UserError(
                f"execution.cpu_devices is {cpu_devices}, but this process already runs "
                f"{len(jax.devices('cpu'))}; set it before anything else uses jax"
            ) from error


def _keep_freed_memory() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, value in ALLOCATION.items():
            mallopt(option, value)


def available_bytes(device: jax.Device) -> int:
    """Memory that is free on a device; on its machine, if that is a CPU or does not tell."""
    memory = None if device.platform == "cpu" else device.memory_stats()
    if memory is None:
        return psutil.virtual_memory().available
    return memory["bytes_limit"] - memory["bytes_in_use"]


def most_devices(rows: int, available: int) -> int:
    """The largest number of devices, of those available, over which so many rows spread evenly."""
    return max(count for count in range(1, available + 1) if rows % count == 0)


def described_devices(devices: Iterable[jax.Device]) -> str:
    """Their number and kinds: with the same, a run is the same bit for bit."""
    kinds = Counter(f"{device.platform} {device.device_kind}" for device in devices)
    return ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items()))


@contextmanager
def device_errors():
    """Turns the failure of a device into a DeviceError that says what to do."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        first_line = str(error).partition("\n")[0]
        if first_line.startswith("RESOURCE_EXHAUSTED"):
            cure = "lower data.batch_size or raise training.accumulation_steps"
        elif first_line.startswith(DEVICE_FAILURES):
            cure = "the same command goes on from the newest checkpoint"
        else:
            raise
        raise DeviceError(f"the device failed ({first_line}); {cure}") from error
