"""Let each allocation of a call fail in turn: ``python tools/fail_allocations.py [--samples N] [--seed N] [--isa avx2]``.

Each op of the op table is run, forward and backward, on drawn samples, once with every allocation of memory for results and for
a kernel's work failing by itself, and once from each on. The call must raise MemoryError or give the right bits, and the next call must be as if
nothing had happened. Needs a C compiler (CC) and what the tests need. Ends with exit code 1 if there was a fault.

The allocator is intercepted by a small library that is preloaded, which this script compiles; it looks at ``aligned_alloc`` alone,
since the kernels and large arrays use that and the interpreter doesn't.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent / "tests"

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_long count, first = -1, last = -1;

/* Allocations number `low` up to, but not including, `high` fail; counted from this call on. */
void fail_allocations(long low, long high) { count = 0, first = low, last = high; }
long allocations(void) { return count; }

void *aligned_alloc(size_t alignment, size_t size) {
  static void *(*real)(size_t, size_t);
  if (!real) real = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
  const long number = count++;
  return number >= first && number < last ? NULL : real(alignment, size);
}
"""


def preloaded() -> int:
    """Compile the library and start this script again with it."""
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/fail.so"
        compiler = os.environ.get("CC", "cc")
        command = [compiler, "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"]
        subprocess.run(command, input=SHIM, text=True, check=True)
        environment = os.environ | {"LD_PRELOAD": library, "OMP_NUM_THREADS": "2"}
        return subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment, check=False).returncode


def in_new_thread(call: Callable[[], Any]) -> Any:
    """What the call returns, or the exception it raises; a thread keeps its work memory, and a new one has none."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(call())
        except Exception as error:  # noqa: BLE001 - looked at by the caller
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


class Failing:
    """Runs calls with some of their allocations failing."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self.injected = 0

    def run(self, call: Callable[[], Any], low: int = -1, high: int = -1) -> Any:
        import fastnn as fnn

        fnn.empty_cache()
        self._library.fail_allocations(ctypes.c_long(low), ctypes.c_long(high))
        try:
            return in_new_thread(call)
        finally:
            self._library.fail_allocations(ctypes.c_long(-1), ctypes.c_long(-1))
            self.injected += low >= 0

    def count(self, call: Callable[[], Any]) -> tuple[int, Any]:
        """How many allocations a call makes, and its result."""
        import fastnn as fnn

        fnn.empty_cache()
        self._library.fail_allocations(ctypes.c_long(-1), ctypes.c_long(-1))
        result = in_new_thread(call)
        return int(self._library.allocations()), result


def faults_of(failing: Failing, op: Any, sample: Any) -> Iterator[str]:
    import harness

    def call() -> Any:
        return harness.evaluate(op, sample)

    number, right = failing.count(call)
    if isinstance(right, Exception):
        raise right
    for low in range(number):
        for high in {low + 1, number + 100}:
            what = f"{op} {sample}: allocation {low}{'' if high == low + 1 else ' and those behind it'} of {number} failing"
            result = failing.run(call, low, high)
            if isinstance(result, Exception):
                if not isinstance(result, MemoryError):
                    yield f"{what}: {type(result).__name__}: {result}"
            elif different := harness.same_bits(right, result):
                yield f"{what}: {different} wrong, and no error"
            after = in_new_thread(call)
            if isinstance(after, Exception):
                yield f"{what}: the next call raised {type(after).__name__}: {after}"
            elif harness.same_bits(right, after):
                yield f"{what}: the next call was wrong"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--samples", type=int, default=4, help="how many of each op, by default 4")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--isa", help="the instruction set, by default the best")
    parser.add_argument("--ops", help="names of rows of the op table, separated by commas")
    options = parser.parse_args()
    if options.isa:
        os.environ["FASTNN_ISA"] = options.isa
    if not hasattr(ctypes.CDLL(None), "fail_allocations"):
        return preloaded()
    sys.path[:0] = [str(TESTS), str(TESTS.parent / "benchmarks")]
    import fuzzing
    import harness
    from fastnn import _core

    _core.set_thread_cost(0.0)
    print(f"seed {options.seed}", flush=True)
    failing, faults = Failing(), 0
    for name in options.ops.split(",") if options.ops else fuzzing.NAMES:
        for number in range(options.samples):
            _core.set_num_threads(1 + number % 2)
            op = fuzzing.BY_NAME[name]
            sample = fuzzing.draw(op, options.seed, fuzzing.NAMES.index(name), number).cast(
                harness.DTYPES[number // 2 % 2]
            )
            for fault in faults_of(failing, op, sample):
                faults += 1
                print(f"FAULT {fault}", flush=True)
    print(f"{faults} faults in {failing.injected} failures of allocations")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
