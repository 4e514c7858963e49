"""What a gradient costs in reverse and in forward mode, for n inputs and one output, in evaluations of the function.

    python benchmarks/derivative_cost.py

prints the table of docs/derivatives.md. The function is a network of two hidden layers.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import fastnn as fnn
import fastnn.functional as F

SIZES = (1, 4, 16, 64, 256)
RNG = np.random.default_rng(0)
HIDDEN = 1024
FIRST = RNG.standard_normal((HIDDEN, max(SIZES))).astype(np.float32)
SECOND = RNG.standard_normal((HIDDEN, HIDDEN)).astype(np.float32) / 32
LAST = RNG.standard_normal((1, HIDDEN)).astype(np.float32) / 32


def network(n: int) -> Callable[[fnn.Tensor], fnn.Tensor]:
    """n inputs, two hidden layers, one output; nothing but the input is differentiated."""
    first = np.ascontiguousarray(FIRST[:, :n])

    def f(x: fnn.Tensor) -> fnn.Tensor:
        return F.linear(F.tanh(F.linear(F.tanh(F.linear(x, first)), SECOND)), LAST).sum()

    return f


def seconds(f: Callable[[], object], repeat: int = 15) -> float:
    f()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def forward_gradient(f: Callable[[fnn.Tensor], fnn.Tensor], x: np.ndarray) -> np.ndarray:
    """One pass for each input."""
    return np.array([fnn.jvp(f, [x], [unit])[1] for unit in np.eye(len(x), dtype=x.dtype)])


def row(n: int) -> str:
    f, x = network(n), RNG.standard_normal(n).astype(np.float32)
    reverse = fnn.grad(f)
    np.testing.assert_allclose(reverse(x), forward_gradient(f, x), rtol=1e-3, atol=1e-5)
    with fnn.no_grad():
        once = seconds(lambda: f(fnn.Tensor(x)))
    by_reverse, by_forward = seconds(lambda: reverse(x)), seconds(lambda: forward_gradient(f, x), 5)
    return f"| {n} | {once * 1e3:.2f} | {by_reverse / once:.1f} | {by_forward / once:.1f} |"


def main() -> None:
    print("| inputs n | function, ms | reverse mode, evaluations | forward mode, evaluations |")
    print("|---|---|---|---|")
    for n in SIZES:
        print(row(n))


if __name__ == "__main__":
    main()
