"""Compare the compiled backend with the NumPy one: ``python tools/check_parity.py [--samples N] [--only NAME …]``.

Every row of the op table, forward and backward, in float32 and float64, on every instruction set that runs here: the
first N of its samples, and as many of those that hold NaN, infinities and the like. A quick look at a build by another
compiler or for another processor, where the whole suite would take hours (see tools/test_aarch64.sh).
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import fastnn as fnn
import harness
from op_table import OPS


def chosen(op: harness.Op, count: int) -> list[harness.Sample]:
    """The first samples of a row, and the first special ones."""
    samples = op.samples()
    special = [s for s in samples if s.special]
    return [s for s in samples if not s.special][:count] + special[:count]


def flushed(a: np.ndarray) -> np.ndarray:
    """Kernels take denormals for zeros."""
    return np.where(np.abs(a) < np.finfo(a.dtype).tiny, np.copysign(a.dtype.type(0), a), a)


def failures(op: harness.Op, isa: str, dtype: Any, count: int) -> list[str]:
    """What differs by more than the bounds of tests/tolerances.py."""
    harness._core.set_isa(isa)
    eps = float(np.finfo(dtype).eps)
    lines = []
    for sample in chosen(op, count):
        sample = sample.cast(dtype)
        exact = (sample.map(flushed) if sample.special else sample).cast(np.float64)
        truth = harness.reference(op, exact)
        bounds = harness.bounds(op, exact, truth, eps)
        actual = harness.evaluate(op, sample)
        # In float64 the truth is as wrong as what is compared with it.
        found = harness.mismatches(actual, truth, bounds, eps * (1 + (dtype == np.float64)))
        lines += [f"{op} {isa} {np.dtype(dtype)} {sample}: {line}" for line in found]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2, metavar="N", help="samples of each kind (2)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows whose names contain one of these")
    options = parser.parse_args()
    warnings.simplefilter("error")
    fnn.use_backend("native")
    rows = [op for op in OPS if not options.only or any(name in op.name for name in options.only)]
    wrong = []
    for op in rows:
        found = [line for isa in harness.ISAS for t in harness.DTYPES for line in failures(op, isa, t, options.samples)]
        print(f"{op}: {len(found)} failures" if found else f"{op}", flush=True)
        wrong += found
    print("\n".join([*wrong, f"{len(rows)} functions on {', '.join(harness.ISAS)}: {len(wrong)} failures"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
