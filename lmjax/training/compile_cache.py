"""Compiled programs, kept from one process to the next."""

import os
import warnings

import jax

from lmjax.data.cache import cache_directory

LEAST_SECONDS = 0.1  # of compiling, for a program to be kept
TROUBLE = "Error (reading|writing) persistent compilation cache"


def keep_compiled_programs() -> None:
    """Keeps them in `cache_directory()/"compiled"`, unless a folder for them is configured.

    Where that can't be written they are compiled again each time.
    """
    warnings.filterwarnings("ignore", message=TROUBLE)
    if jax.config.jax_compilation_cache_dir:
        return
    folder = cache_directory() / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
