"""Threads, memory, accuracy and what is in use: `set_num_threads`, `set_cache_limit`, `set_winograd`, `show_config`."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import _threadpoolctl, backend
from ._settings import Applied
from ._version import __version__

_PROC, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def _affinity() -> set[int]:
    """CPUs that the scheduler lets this process use."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _physical_cores(cpus: set[int], root: Path = Path("/sys/devices/system/cpu")) -> int | None:
    """Distinct cores among `cpus`; hyperthreads of one core share its multiply-add units."""
    cores = set()
    for cpu in cpus:
        try:
            cores.add((root / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip())
        except OSError:
            return None
    return len(cores) or None


def _read_quota(folder: Path) -> float | None:
    """CPUs that a control group may use at a time (v2 ``cpu.max``, v1 ``cpu.cfs_*``), None if unlimited."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if quota != "max" and int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _control_groups(controller: str, proc: Path, root: Path) -> Iterator[Path]:
    """The folders of this process' control group and its parents, as far as they are mounted."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in [root / controllers, root / controller, root] if controllers else [root]:
            folder = mount / path.lstrip("/")
            # Inside a container the path can be the host's, which isn't mounted: then the mount itself is the group.
            yield from (f for f in [folder, *folder.parents] if f.is_relative_to(mount))


def _cgroup_quota(proc: Path = _PROC, root: Path = _GROUPS) -> float | None:
    """The tightest CPU quota of this process' control group and its parents (a container's limit)."""
    quotas = (_read_quota(folder) for folder in _control_groups("cpu", proc, root))
    return min((q for q in quotas if q is not None), default=None)


def _read_memory(folder: Path) -> int | None:
    """Bytes that a control group may use (v2 ``memory.max``, v1 ``memory.limit_in_bytes``), None if unlimited."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((folder / name).read_text())
        except (OSError, ValueError):
            continue
    return None


def _memory(proc: Path = _PROC, root: Path = _GROUPS) -> int:
    """Bytes of memory that this process may use: the machine's, or its control group's."""
    limits = (_read_memory(folder) for folder in _control_groups("memory", proc, root))
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        machine = 2**32
    return min([machine, *(n for n in limits if n is not None)])


def _omp_num_threads() -> int | None:
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() and int(first) > 0 else None


def default_num_threads() -> tuple[int, dict[str, int]]:
    """The number of threads used unless set, and the limits it is the least of.

    Returns
    -------
    threads : int
        min(affinity, control-group quota rounded down, physical cores, OMP_NUM_THREADS), at least 1.
    limits : dict
        Each limit that exists, by name.

    Examples
    --------
    >>> from fastnn.config import default_num_threads
    >>> threads, limits = default_num_threads()
    >>> threads == max(1, min(limits.values()))
    True
    """
    cpus = _affinity()
    limits: dict[str, int] = {"affinity": len(cpus)}
    if (cores := _physical_cores(cpus)) is not None:
        limits["physical cores"] = cores
    if (quota := _cgroup_quota()) is not None:
        limits["control-group quota"] = max(1, int(quota))
    if (asked := _omp_num_threads()) is not None:
        limits["OMP_NUM_THREADS"] = asked
    return max(1, min(limits.values())), limits


_default, _limits = default_num_threads()
_threads = _default
_reason = f"the least of {_limits}"
_unlimited = _threads, _reason  # the last setting that did not come from threadpoolctl
_MOST = 4096


def _apply(threads: int, reason: str) -> None:
    global _threads, _reason
    if (core := backend.extension()) is not None:
        core.set_num_threads(threads)
    _threads, _reason = threads, reason


def _apply_own(setting: tuple[int, str]) -> None:
    global _unlimited
    _apply(*setting)
    _unlimited = setting


def _limit(n: int) -> None:
    """By threadpoolctl, which sets the number before again when its limit ends."""
    threads = min(max(1, n), _MOST)
    _apply(threads, _unlimited[1] if threads == _unlimited[0] else "threadpoolctl")


_apply(_threads, _reason)
if (_core := backend.extension()) is not None:
    _threadpoolctl.register(str(_core.__file__), lambda: get_num_threads(), _limit)


def _integer(op: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{op}: {name} must be an integer, got {type(value).__name__}")
    return operator.index(value)


def set_cache_limit(size: int) -> None:
    """Set how many bytes of dead arrays the compiled backend keeps for the next ones at most.

    A training step makes and drops the same arrays again and again; taken from the system each time, their pages cost up
    to as much as the computing. The limit is an eighth of the memory that this process may use, unless set.

    Parameters
    ----------
    size : int
        Bytes; 0 keeps nothing.

    Raises
    ------
    TypeError
        If `size` is not an integer.
    ValueError
        If `size` is below 0.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.set_cache_limit(2**28)
    """
    limit = _integer("set_cache_limit", "size", size)
    if limit < 0:
        raise ValueError(f"set_cache_limit: size must be at least 0, got {limit}")
    if (core := backend.extension()) is not None:
        core.set_cache_limit(min(limit, sys.maxsize))


def empty_cache() -> None:
    """Give the memory of dead arrays that the compiled backend keeps (see `set_cache_limit`) back to the system.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.empty_cache()
    """
    if (core := backend.extension()) is not None:
        core.empty_cache()


set_cache_limit(_memory() // 8)


def set_winograd(wanted: bool) -> None:
    """Set whether the compiled backend may convolve by Winograd's algorithm.

    With 3 x 3 taps of stride 1 and channels enough it takes a quarter of the multiplications, and half to a third of the
    time [1]_. Its errors are up to three times those of plain sums, and relative to the largest results of a tile of 4 x 4
    outputs: one that sees only values v times smaller than others of its tile loses a factor v of its accuracy. What a
    caller can count on all the same:

    - From v = 500 or so on, compared quarter by quarter of a tile's 6 x 6 inputs, all taps are multiplied instead, for the
      whole call. So at most about three of seven digits are lost beside large values. This is for outputs and for
      gradients of inputs; a gradient of weights is accurate relative to the largest of a filter's 9 taps.
    - Images of fewer than three rows or columns are convolved with all taps.
    - Inputs or weights all below 2**-95 (4e-29; 2**-959 in float64), sums beyond the largest number on the way to results
      that are not, and what isn't finite: all taps are multiplied, too.

    It is used unless refused here.

    Parameters
    ----------
    wanted : bool
        Whether it may be used, for all threads of this process.

    Raises
    ------
    TypeError
        If `wanted` is not a bool.

    References
    ----------
    .. [1] A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.set_winograd(False)
    >>> fnn.get_winograd()
    False
    >>> fnn.set_winograd(True)
    """
    global _winograd
    if not isinstance(wanted, bool):
        raise TypeError(f"set_winograd: wanted must be a bool, got {type(wanted).__name__}")
    _winograd = wanted
    if (core := backend.extension()) is not None:
        core.set_winograd(wanted)


def get_winograd() -> bool:
    """Whether the compiled backend may convolve by Winograd's algorithm (see `set_winograd`).

    Returns
    -------
    bool
        True unless it was refused.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.get_winograd()
    True
    """
    return _winograd


_winograd = True


def get_num_threads() -> int:
    """How many threads a kernel may use at most.

    Small calls use fewer, and so does a call whose other threads are late: it computes their parts itself.
    Results are the same bits for every number. With ``FASTNN_THREADS=openmp`` a child made by ``os.fork`` has one.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.get_num_threads() >= 1
    True
    """
    core = backend.extension()
    return int(core.num_threads()) if core is not None else _threads


class set_num_threads(Applied):
    """Set how many threads the kernels may use, from now on or for a ``with`` block.

    Parameters
    ----------
    n : int
        At least 1. More than there are cores is allowed; no call is cut into more than 256 parts. Where the system gives
        no more threads, those that there are do the work.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is below 1 or above 4096.

    Examples
    --------
    >>> import fastnn as fnn
    >>> with fnn.set_num_threads(1):
    ...     fnn.get_num_threads()
    1
    """

    def __init__(self, n: int) -> None:
        threads = _integer("set_num_threads", "n", n)
        if not 1 <= threads <= _MOST:
            raise ValueError(f"set_num_threads: n must be between 1 and {_MOST}, got {threads}")
        super().__init__((threads, "set_num_threads"), lambda: (_threads, _reason), _apply_own)


def _why_threads() -> str:
    return _reason if get_num_threads() == _threads else "OpenMP's limit, or a forked child, which has one"


def _config() -> dict[str, Any]:
    core = backend.extension()
    config: dict[str, Any] = {
        "version": __version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "backend": backend.current_name(),
        "available backends": backend.available_backends(),
        "threads": get_num_threads(),
        "why that many threads": _why_threads(),
    }
    if core is None:
        config["compiled extension"] = backend.unavailable()
    else:
        config["isa"] = core.active_isa()
        config["usable isas"] = core.usable_isas()
        config["compiled isas"] = core.compiled_isas()
        config["threads of"] = core.runtime()
        config["cache limit, MB"] = core.cache_limit() >> 20
        config["winograd"] = get_winograd()
    return config


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Say what is in use: version, backend, instruction set, threads and why that many.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it as a dictionary.

    Returns
    -------
    dict or None
        The configuration with ``mode="dicts"``, else None.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.show_config("dicts")["threads"] == fnn.get_num_threads()
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"show_config: mode must be 'stdout' or 'dicts', got {mode!r}")
    config = _config()
    if mode == "dicts":
        return config
    width = max(map(len, config))
    for key, value in config.items():
        print(f"{key:{width}}  {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return None
