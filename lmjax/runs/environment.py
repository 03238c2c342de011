"""What is installed and what it runs on: the one place that reports it."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import lmjax

PACKAGES = (
    "absl-py",
    "array_record",
    "flax",
    "grain",
    "importlib_resources",
    "jax",
    "jaxlib",
    "jinja2",
    "matplotlib",
    "ml-collections",
    "numpy",
    "optax",
    "orbax-checkpoint",
    "psutil",
    "pyyaml",
    "rich",
    "safetensors",
    "rouge-score",
    "sacrebleu",
    "scipy",
    "tensorflow-datasets",
    "tokenizers",
)


def versions() -> dict[str, str | None]:
    """The version of lmjax, of Python and of each package, None where it is not installed."""
    found = {"lmjax": lmjax.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def environment() -> dict[str, Any]:
    """Versions, devices, machine and source of the running program, ready for JSON."""
    import jax

    return {
        "versions": versions(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processor": processor_name(),
            "cores": core_count(),
        },
        "source": checkout(Path(lmjax.__file__).parent.parent),
    }


def processor_name() -> str:
    """The processor's name as Linux tells it; elsewhere what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor() or "unknown")


def core_count() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def checkout(folder: Path) -> dict[str, Any] | None:
    """The git commit at the top of `folder`, what differs from it, and the files it lacks.

    None if the folder is not the top of a git checkout with a commit.
    """
    try:
        if Path(_git(folder, "rev-parse", "--show-toplevel").strip()) != folder.resolve():
            return None
        return {
            "commit": _git(folder, "rev-parse", "HEAD").strip(),
            "diff": _git(folder, "diff", "--no-color", "--no-ext-diff", "HEAD"),
            "untracked": _git(folder, "ls-files", "--others", "--exclude-standard").splitlines(),
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode(errors="replace")
