"""Two backends with the same functions: ``native`` (compiled) and ``numpy`` (the specification).

`current` returns the module in use; `use_backend` switches it, for good or for a ``with`` block. The
choice is one per process, so that worker threads see what the main thread chose.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from types import ModuleType

from .._settings import Applied
from . import runtime

_MODULES = {"native": "fastnn.backend.native", "numpy": "fastnn.backend.reference"}
_active: ModuleType | None = None
_active_name = ""
_callbacks: list[Callable[[ModuleType | None], None]] = []
# What the import system said when the extension was asked for in vain. It is not asked again in this process.
_failure: ImportError | None = None
# Whether the threads that the extension uses have been chosen. If that fails, so does the import of fastnn, and they
# must be chosen at the next import, although the extension is loaded already.
_chosen = False


def unavailable() -> str | None:
    """Why the compiled extension cannot be used here.

    Returns
    -------
    str or None
        "is missing", or "cannot be loaded" and the loader's words; None where it can be used.

    Examples
    --------
    >>> from fastnn import backend
    >>> (backend.unavailable() is None) == ("native" in backend.available_backends())
    True
    """
    if extension() is not None:
        return None
    if _failure is None or (isinstance(_failure, ModuleNotFoundError) and _failure.name == "fastnn._core"):
        return "is missing"
    return f"cannot be loaded ({_failure})"


def _load(name: str) -> ModuleType:
    if name not in _MODULES:
        raise ValueError(f"use_backend: unknown backend {name!r}, expected one of {sorted(_MODULES)}")
    if name == "native" and (reason := unavailable()):
        raise RuntimeError(
            f"use_backend: the native backend is not available: the compiled extension {reason}"
        ) from _failure
    return importlib.import_module(_MODULES[name])


def _default() -> str:
    """FASTNN_BACKEND if set; else native, falling back to NumPy with one warning."""
    asked = os.environ.get("FASTNN_BACKEND", "")
    if asked:
        if asked not in _MODULES:
            raise ValueError(f"FASTNN_BACKEND={asked!r} is not a backend, expected one of {sorted(_MODULES)}")
        try:
            _load(asked)
        except RuntimeError as error:
            raise ImportError(f"fastnn: FASTNN_BACKEND={asked}, but the compiled extension {unavailable()}") from error
        return asked
    if (reason := unavailable()) is None:
        return "native"
    if os.environ.get("FASTNN_REQUIRE_NATIVE", "0") not in ("", "0"):
        raise ImportError(f"fastnn: the compiled extension {reason} and FASTNN_REQUIRE_NATIVE is set") from _failure
    detail = "" if reason == "is missing" else f": it {reason}"
    warnings.warn(
        f"fastnn: the compiled extension is not available{detail}; running on the slower NumPy backend",
        RuntimeWarning,
        stacklevel=4,
    )
    return "numpy"


def extension() -> ModuleType | None:
    """The compiled extension ``fastnn._core``, imported when first asked for.

    Returns
    -------
    module or None
        None where it isn't installed or cannot be loaded: `unavailable` says why.

    Examples
    --------
    >>> from fastnn import backend
    >>> (backend.extension() is None) == ("native" not in backend.available_backends())
    True
    """
    global _failure, _chosen
    if _failure is not None:
        return None
    core = sys.modules.get("fastnn._core")
    if core is None:
        try:
            core = importlib.import_module("fastnn._core")
        except ImportError as error:
            _failure = error.with_traceback(None)
            return None
    if not _chosen:
        runtime.choose(core)
        _chosen = True
    return core


def available_backends() -> list[str]:
    """Names of the backends that can be used here.

    Returns
    -------
    list of str
        "numpy", and before it "native" where the compiled extension can be loaded.

    Examples
    --------
    >>> import fastnn.backend
    >>> "numpy" in fastnn.backend.available_backends()
    True
    """
    return ["numpy"] if extension() is None else ["native", "numpy"]


def current() -> ModuleType:
    """The module of the active backend.

    The first call chooses it: the one that ``FASTNN_BACKEND`` names, else native, else NumPy with a `RuntimeWarning`.

    Returns
    -------
    module
        Functions of plain arrays, the same in both backends.

    Raises
    ------
    ValueError
        If ``FASTNN_BACKEND`` names no backend; the first call only, as the following.
    ImportError
        If the compiled extension is missing or cannot be loaded, and ``FASTNN_BACKEND`` is native or
        ``FASTNN_REQUIRE_NATIVE`` is set. ``import fastnn`` raises it then.

    Examples
    --------
    >>> import fastnn as fnn
    >>> with fnn.use_backend("numpy"):
    ...     fnn.backend.current().__name__
    'fastnn.backend.reference'
    """
    if _active is None:
        _set(_default())
    assert _active is not None
    return _active


def current_name() -> str:
    """The name of the active backend.

    Returns
    -------
    {"native", "numpy"}

    Raises
    ------
    ValueError, ImportError
        As `current`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> with fnn.use_backend("numpy"):
    ...     fnn.backend.current_name()
    'numpy'
    """
    current()
    return _active_name


def _set(name: str) -> None:
    global _active, _active_name
    _active = _load(name)
    _active_name = name
    for callback in _callbacks:
        callback(_active if name == "native" else None)


def _when_switched(callback: Callable[[ModuleType | None], None]) -> None:
    """Tell ``callback`` whether the compiled backend is active, now and whenever that changes: its module, or None."""
    _callbacks.append(callback)
    callback(_active if _active_name == "native" else None)


class use_backend(Applied):
    """Use a backend from now on, or for a ``with`` block.

    Parameters
    ----------
    name : {"native", "numpy"}
        The backend to use.

    Raises
    ------
    ValueError
        If the name is unknown.
    RuntimeError
        If the compiled extension is asked for, and is missing or cannot be loaded. The message says why.

    Examples
    --------
    >>> import fastnn as fnn
    >>> with fnn.use_backend("numpy"):
    ...     fnn.backend.current_name()
    'numpy'
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, current_name, _set)
