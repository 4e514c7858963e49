"""Kernels that get no memory for their scratch: a MemoryError from that call, and nothing left over for the next."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import subproc

pytest.importorskip("fastnn._core", reason="the compiled extension fastnn._core is not installed")
CC = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(
    CC is None or not sys.platform.startswith("linux"), reason="needs a C compiler and LD_PRELOAD"
)

# aligned_alloc, from which all memory of kernels comes, that fails while it is told to.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
static volatile int failing = 0;
void fail_allocations(int yes) { failing = yes; }
void* aligned_alloc(size_t alignment, size_t size) {
  static void* (*real)(size_t, size_t);
  if (!real) real = (void* (*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
  return failing ? NULL : real(alignment, size);
}
"""

# Each call in a thread of its own, which has no scratch from earlier ones.
CODE = """
import ctypes, sys, threading
sys.path.insert(0, {tests!r})
import numpy as np
import fastnn as fnn, fastnn.functional as F
import harness
from op_table import OPS

library = ctypes.CDLL(None)
x = np.ones((3, 4), np.float32)
counts = dict(raised=0, right=0)

def outcome(op, sample):
    try:
        return {{k: a.copy() for k, a in harness.evaluate(op, sample).items()}}
    except MemoryError:
        return None

def in_thread(f):
    results = []
    thread = threading.Thread(target=lambda: results.append(f()))
    thread.start()
    thread.join()
    return results[0]

def failing(op, sample):
    library.fail_allocations(1)
    try:
        result = outcome(op, sample)
    finally:
        library.fail_allocations(0)
    F.softmax(x, 1)
    return result

fnn.set_num_threads(1)
for op in OPS:
    for sample in [s for s in op.samples() if not s.special][:4]:
        sample = sample.cast(np.float32)
        right = in_thread(lambda: outcome(op, sample))
        # Small arrays must not happen to lie where the right result was.
        junk = [np.full(a.shape, 3e33, a.dtype) for a in right.values() for _ in range(4) if a.dtype.kind == "f"]
        del junk
        got = in_thread(lambda: failing(op, sample))
        counts["raised" if got is None else "right"] += 1
        if got is not None:
            for name, a in got.items():
                assert a.tobytes() == right[name].tobytes(), (op.name, str(sample), name)
print(counts["raised"] > 50, counts["right"] > 50)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    library = folder / "shim.so"
    subprocess.run([CC, "-O1", "-shared", "-fPIC", "-o", library, folder / "shim.c", "-ldl"], check=True)
    return library


def test_every_operation_without_memory_for_scratch(shim):
    tests = str(Path(__file__).parent)
    assert subproc.run(CODE.format(tests=tests), LD_PRELOAD=str(shim)) == "True True"
