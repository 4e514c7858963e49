"""What this machine can do: multiply-adds at the FMA peak and bytes at the copy rate, measured with compiled loops."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def _best(call: Callable[[], Any], repeats: int = 15) -> tuple[float, Any]:
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best, result


def _aligned(count: int, dtype: Any) -> np.ndarray:
    memory = np.ones(count + 64 // np.dtype(dtype).itemsize, dtype)
    return memory[-memory.ctypes.data % 64 // memory.itemsize :][:count]


def fma_peak(threads: int, dtype: Any = np.float32) -> float:
    """GFLOP/s of a loop of multiply-adds that stays in registers, on the active instruction set."""
    from fastnn import _core

    out = np.full(threads, 0.999, dtype)
    seconds, flops = _best(lambda: _core.probe_fma(out, 1_000_000))
    return float(flops / seconds / 1e9)


def copy_rate(megabytes: float = 25.7) -> float:
    """GB/s read and written by a copy of that size, with ordinary or streaming stores, whichever is faster."""
    from fastnn import _core

    x, y = (_aligned(int(megabytes * 1e6 / 4), np.float32) for _ in range(2))
    return max(2 * x.nbytes / _best(lambda s=s: _core.probe_copy(x, y, s))[0] / 1e9 for s in (False, True))


def processor() -> str:
    """The CPU's name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
