"""Lets threadpoolctl see and limit fastnn's threads, whether it was imported before or will be, and without importing it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ._version import __version__

_NAME = "threadpoolctl"


def _controller(module: Any, file: str, get: Callable[[], int], limit: Callable[[int], None]) -> type:
    """A controller as threadpoolctl 3.2 and newer take it, for the library with this file."""

    class Controller(module.LibController):  # type: ignore[misc]
        user_api = "openmp"  # so that threadpool_limits(user_api="openmp") limits fastnn's threads, too
        internal_api = "fastnn"
        filename_prefixes = (os.path.basename(file).lower(),)
        check_symbols = ("fastnn_num_threads",)  # tells it from libraries of that name in other packages

        def get_num_threads(self) -> int:
            return get()

        def set_num_threads(self, num_threads: int) -> None:
            limit(num_threads)

        def get_version(self) -> str:
            return __version__

    return Controller


class _Loader:
    """The loader of threadpoolctl, and what is to happen when the module has been executed."""

    def __init__(self, loader: Any, done: Callable[[ModuleType], None]) -> None:
        self._loader, self._done = loader, done

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._done(module)


class _Finder:
    """Finds threadpoolctl as the others do, and wraps its loader."""

    def __init__(self, done: Callable[[ModuleType], None]) -> None:
        self._done, self._asking = done, False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != _NAME or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asking = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, self._done)  # type: ignore[assignment]
        return spec


def register(file: str, get: Callable[[], int], limit: Callable[[int], None]) -> None:
    """Register a controller for fastnn's threads when threadpoolctl is there.

    Parameters
    ----------
    file : str
        The extension's file, by which threadpoolctl finds it among the libraries of the process.
    get, limit : callable
        The number of threads in use, and what sets it.
    """

    def done(module: Any) -> None:
        if hasattr(module, "register"):
            module.register(_controller(module, file, get, limit))

    if _NAME in sys.modules:
        done(sys.modules[_NAME])
    sys.meta_path.insert(0, _Finder(done))
