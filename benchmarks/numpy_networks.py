"""NumPy networks before and after fastnn's functions were put in: lines that changed, and how much faster a step is.

python benchmarks/numpy_networks.py [--seconds 3] [NAME ...]

The networks are pairs of files in examples/from_numpy. The two forms of one take turns in a process of their own, so that what
one leaves behind (threads that spin, memory) meets the other as it would in one program; medians of all turns. NumPy's BLAS
and fastnn have their default numbers of threads. A network of a library that is not installed is left out.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

FOLDER = Path(__file__).parents[1] / "examples" / "from_numpy"
FORMS = ("before", "after")


def load(name: str) -> ModuleType:
    """A module of the folder."""
    spec = importlib.util.spec_from_file_location(f"from_numpy_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROBLEMS = load("problems")
# Name: (what makes the arguments of `step`, batch size of a test, batch size of a measurement, tolerance).
NETWORKS = {make.__name__: (make, *sizes) for make, sizes in PROBLEMS.SIZES.items()}


def converted(arguments: Any, dtype: Any) -> Any:
    """Nested arguments with their arrays of floats in another dtype."""
    if isinstance(arguments, dict):
        return {name: converted(value, dtype) for name, value in arguments.items()}
    if isinstance(arguments, list | tuple):
        return type(arguments)(converted(part, dtype) for part in arguments)
    floats = isinstance(arguments, np.ndarray) and arguments.dtype.kind == "f"
    return arguments.astype(dtype) if floats else arguments


def steps(name: str, size: int, dtype: Any = None) -> dict[str, Callable[[], Any]]:
    """For each form, its ``step`` with arguments of its own, the same numbers for both; in their dtypes or another one."""
    calls = {}
    for form in FORMS:
        module = load(f"{name}_{form}")
        arguments = NETWORKS[name][0](np.random.default_rng(0), size)
        if dtype is not None:
            arguments = converted(arguments, dtype)
        if hasattr(module, "prepare"):
            arguments = module.prepare(*arguments)
        calls[form] = lambda step=module.step, arguments=arguments: step(*arguments)
    return calls


def arrays(result: Any) -> Iterable[np.ndarray]:
    """The arrays and numbers of nested lists and tuples, in order."""
    if isinstance(result, list | tuple):
        for part in result:
            yield from arrays(part)
    else:
        yield np.asarray(result)


def difference(name: str) -> float:
    """The largest difference of a number of the results, as a share of the largest number of its array."""
    call = steps(name, NETWORKS[name][1])
    before, after = (list(arrays(call[form]())) for form in FORMS)
    assert [(a.shape, a.dtype) for a in before] == [(a.shape, a.dtype) for a in after]
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(before, after, strict=True))


def code(name: str, form: str) -> list[str]:
    """The lines of a file that are code: neither blank nor its first line, which describes it."""
    lines = (FOLDER / f"{name}_{form}.py").read_text(encoding="utf-8").splitlines()[1:]
    return [line for line in lines if line.strip()]


def changed_lines(name: str) -> tuple[int, int]:
    """How many lines the change took away, and how many it brought."""
    marks = [line[0] for line in difflib.ndiff(code(name, "before"), code(name, "after"))]
    return marks.count("-"), marks.count("+")


def measure(name: str, seconds: float) -> tuple[float, float]:
    """Median milliseconds of a step, before and after, in turns."""
    calls = list(steps(name, NETWORKS[name][2]).values())
    for call in calls:
        list(arrays(call()))
    times: list[list[float]] = [[], []]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for call, kept in zip(calls, times, strict=True):
            start = time.perf_counter()
            list(arrays(call()))  # this waits for what is computed asynchronously
            kept.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[0])), float(np.median(times[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which networks; all of them by default")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each network")
    parser.add_argument("--one", action="store_true", help="print the row of one network, measured in this process")
    options = parser.parse_args()
    names = options.names or list(NETWORKS)
    if options.one:
        before, after = measure(names[0], options.seconds)
        old, new = changed_lines(names[0])
        print(f"| {names[0]} | {old} → {new} | {before:.3g} | {after:.3g} | {before / after:.2f} |")
        return
    print("| network | lines | before ms | after ms | ratio |\n|---|---|---|---|---|", flush=True)
    for name in names:
        done = subprocess.run(
            [sys.executable, __file__, "--one", "--seconds", str(options.seconds), name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        print(done.stdout.strip() or f"| {name} | | | | {done.stderr.strip().splitlines()[-1]} |", flush=True)


if __name__ == "__main__":
    main()
