"""A process that computes for the report, with one library, only when it is asked to: ``python worker.py FD THREADS``.

fastnn and PyTorch each bring a team of threads that spins for a while after its work is done; in one process, or at
the same time, they would measure each other. Two builds of fastnn could not be in one process at all.
"""

from __future__ import annotations

import gc
import math
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

SAMPLE_SECONDS = 1e-3  # calls shorter than this are timed in batches
WARM_UP = 20  # calls


def make_library(name: str, threads: int) -> Any:
    import libraries

    if name in ("native", "numpy"):
        library = libraries.Fastnn(name)
        library.fastnn.set_num_threads(threads)
        return library
    torch = libraries.Torch(channels_last=name.endswith("channels_last"))
    torch.torch.set_num_threads(threads)
    return torch


def _times(call: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds per call, of as many calls as fit, three at least; some warm up."""
    quickest = math.inf
    # The first call finds cold caches, and would make batches so small that reading the clock counts.
    for _ in range(WARM_UP):
        start = time.perf_counter()
        call()
        quickest = min(quickest, time.perf_counter() - start)
        if quickest > SAMPLE_SECONDS:
            break
    batch = max(1, int(SAMPLE_SECONDS / max(quickest, 1e-9)))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(batch):
            call()
        times.append((time.perf_counter() - start) / batch)
    return times


class _Worker:
    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._libraries: dict[str, Any] = {}
        self._works: dict[tuple[str, str], Any] = {}

    def _library(self, name: str) -> Any:
        if name not in self._libraries:
            self._libraries[name] = make_library(name, self._threads)
        return self._libraries[name]

    def build(self, name: str, case: str) -> None:
        import cases

        if case not in cases.BY_NAME:
            raise LookupError(f"{self.build_of()} has no such function")
        self._works[name, case] = cases.BY_NAME[case].build(self._library(name))

    def time(self, name: str, case: str, what: str, seconds: float) -> list[float]:
        if name in ("native", "numpy"):
            self._library(name).fastnn.use_backend(name)
        return _times(getattr(self._works[name, case], what), seconds)

    def drop(self) -> None:
        self._works.clear()
        gc.collect()

    def limits(self) -> tuple[float, float]:
        """GFLOP/s and GB/s of this machine with these threads."""
        import machine

        self._library("native")
        return machine.fma_peak(self._threads), machine.copy_rate()

    def about(self, name: str) -> str:
        library = self._library(name)
        if name == "torch":
            return f"PyTorch {library.torch.__version__}"
        import numpy as np

        from fastnn import _core

        return f"fastnn {library.fastnn.__version__} ({_core.active_isa()}), NumPy {np.__version__}"

    def build_of(self) -> str:
        """The folder that fastnn is imported from."""
        return str(self._library("native").fastnn.__path__[0])


def serve(pipe: Connection, threads: int) -> None:
    """Answer requests ``(method, *arguments)`` with ``(True, result)`` or ``(False, traceback)`` until None comes."""
    worker = _Worker(threads)
    while (request := _received(pipe)) is not None:
        method, *arguments = request
        try:
            pipe.send((True, getattr(worker, method)(*arguments)))
        except Exception:  # noqa: BLE001 - whatever a case raises goes to the report
            pipe.send((False, traceback.format_exc()))


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:  # the report is gone
        return None


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
