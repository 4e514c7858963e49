"""Whose threads the kernels use: the pool of the extension, or OpenMP's with ``FASTNN_THREADS=openmp``."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

# How long an idle OpenMP thread looks for work before it sleeps: about half a millisecond with libgomp, one with LLVM's
# libomp, enough to catch the next call of a network. By default libgomp looks 300 000 times, which keeps a core busy
# for 11 ms after every call, and libomp for 200 ms; where other processes want that core, an epoch of the digits took
# 20 times as long.
_PATIENCE = {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "1"}


def _openmp() -> ModuleType:
    # The OpenMP library reads its environment once, when the module brings it in; nobody else is to see the setting.
    ours = {} if {"OMP_WAIT_POLICY", *_PATIENCE} & set(os.environ) else _PATIENCE
    os.environ.update(ours)
    try:
        return importlib.import_module("fastnn._openmp")
    except ImportError as error:
        raise ImportError(
            f"fastnn: FASTNN_THREADS=openmp, but OpenMP's threads cannot be had here ({error})"
        ) from error
    finally:
        for name in ours:
            del os.environ[name]


def choose(core: ModuleType) -> None:
    """Have the extension use the threads that ``FASTNN_THREADS`` names.

    Parameters
    ----------
    core : module
        The extension, just imported.

    Raises
    ------
    ValueError
        If the name is neither "pool" nor "openmp".
    ImportError
        If OpenMP's are asked for and this build has none, or their library cannot be loaded.

    Examples
    --------
    >>> from fastnn import backend
    >>> backend.extension() is None or backend.extension().runtime() in ("pool", "openmp")
    True
    """
    asked = os.environ.get("FASTNN_THREADS") or "pool"
    if asked not in ("pool", "openmp"):
        raise ValueError(f"FASTNN_THREADS={asked!r} names no threads, expected 'pool' or 'openmp'")
    if asked == "openmp":
        core.set_runtime(_openmp().runtime)
