"""What fastnn's threads cost where they may have to be waited for: ``python benchmarks/waiting.py [--threads 2]``.

Calls are timed one by one, with one thread and with several in turns, under conditions that a program may bring: back to
back, after a pause, after one of NumPy's own matrix products (whose threads go on spinning for a while), beside a busy
process for each core. A call should take at most 1.3 times what one thread needs under the same conditions, and 30 µs.
The last lines say what long calls reach after a pause, and what NumPy's product takes beside fastnn.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

import fastnn as fnn
import fastnn.functional as F

CALLS, TURNS = 200, 4
FACTOR, MORE = 1.3, 30e-6
PAUSES = (0.1, 0.3, 1.0, 5.0, 50.0)  # ms
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def calls() -> dict[str, Callable[[], object]]:
    rows, image, batch = normal(256, 200), normal(16, 16, 28, 28), normal(256, 784)
    kernel, weight, maps = normal(16, 16, 3, 3), normal(200, 784), normal(8, 32, 28, 28)
    scale, shift, values = normal(32), normal(32), [normal(50_000) for _ in range(4)]
    x, w, r, b = normal(20, 8, 16), normal(128, 16), normal(128, 32), normal(128)
    state = np.zeros((8, 32), np.float32)
    np.abs(values[3], out=values[3])
    return {
        "tanh 256x200": lambda: F.tanh(rows),
        "conv 16x16x28x28 -> 16": lambda: F.conv2d(image, kernel, padding=1),
        "linear 256x784 -> 200": lambda: F.linear(batch, weight),
        "batch norm 8x32x28x28": lambda: F.batch_norm(maps, None, None, scale, shift, True),
        "Adam, 50 000 values": lambda: F.adam_step(*values, step=1, lr=1e-3),
        "LSTM 16 -> 32, T=20, b8": lambda: F.lstm(x, state, state, w, r, b, b),
    }


A, B = normal(384, 384), normal(384, 384)


def product() -> None:
    A @ B


def before(pause: float | None = None, numpy: bool = False) -> Callable[[], None]:
    if numpy:
        return product
    return (lambda: None) if pause is None else (lambda: time.sleep(pause / 1e3))


def conditions() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "back to back", before()
    yield "after NumPy's a @ b", before(numpy=True)
    for pause in PAUSES:
        yield f"after {pause:g} ms", before(pause)


def timed(call: Callable[[], object], first: Callable[[], None], count: int) -> list[float]:
    times = []
    for _ in range(count):
        first()
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def by_threads(
    call: Callable[[], object], first: Callable[[], None], threads: int, count: int
) -> dict[int, np.ndarray]:
    """Seconds of each call for one thread and for several, in turns."""
    times: dict[int, list[float]] = {1: [], threads: []}
    for _ in range(TURNS):
        for n in times:
            with fnn.set_num_threads(n):
                timed(call, first, 3)
                times[n] += timed(call, first, count // TURNS)
    return {n: np.array(t) for n, t in times.items()}


def line(name: str, condition: str, times: dict[int, np.ndarray]) -> str:
    (one, several) = ([np.percentile(t, q) for q in (50, 90)] for t in times.values())
    within = [s <= FACTOR * o + MORE for o, s in zip(one, several, strict=True)]
    shown = " ".join(f"{1e6 * t:9.0f}" for t in (*one, *several))
    return f"{name:26} {condition:24} {shown}   {'  '.join('ok' if w else 'LATE' for w in within)}"


def spin() -> None:
    while True:
        pass


@contextmanager
def busy(processes: int) -> Iterator[None]:
    running = [multiprocessing.get_context("spawn").Process(target=spin, daemon=True) for _ in range(processes)]
    for p in running:
        p.start()
    time.sleep(1)
    yield
    for p in running:
        p.kill()
        p.join()


def long_calls(threads: int) -> Iterator[str]:
    x, w = normal(16, 64, 56, 56), normal(64, 64, 3, 3)
    call = lambda: F.conv2d(x, w, padding=1)
    base = np.median(by_threads(call, before(), threads, 40)[threads])
    paused = by_threads(call, before(5.0), threads, 40)
    late = np.median(paused[threads])
    yield (
        f"conv 16x64x56x56: {base * 1e3:.2f} ms back to back, {late * 1e3:.2f} after 5 ms ({base / late:.0%} of the speed), "
        f"{np.median(paused[1]) * 1e3:.2f} with one thread"
    )


def numpy_beside(threads: int) -> Iterator[str]:
    """Caches are not as they were after a call, even of one thread: its ratio is what threads can be compared with."""
    for name, call in calls().items():
        alone: list[float] = []
        beside: dict[int, list[float]] = {1: [], threads: []}
        for _ in range(TURNS):
            alone += timed(product, before(), 50)
            for n, times in beside.items():
                with fnn.set_num_threads(n):
                    times += timed(product, lambda call=call: (call(), None)[1], 50)
        ratios = (f"{np.median(t) / np.median(alone):.2f}" for t in beside.values())
        shown = " and ".join(f"{r} ({n} threads)" for r, n in zip(ratios, beside, strict=True))
        yield f"NumPy's a @ b after {name}: {shown} times alone ({np.median(alone) * 1e6:.0f} us)"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=fnn.get_num_threads())
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--only", default="", help="conditions that hold this word")
    options = parser.parse_args()
    print(f"{'us':51} {'1: median':>9} {'90 %':>9} {options.threads:>2}{': median':>8} {'90 %':>8}")
    for condition, first in conditions():
        if options.only in condition:
            for name, call in calls().items():
                print(line(name, condition, by_threads(call, first, options.threads, options.calls)), flush=True)
    if options.only in "beside busy processes":
        with busy(options.threads):
            for name, call in calls().items():
                print(
                    line(name, "beside busy processes", by_threads(call, before(), options.threads, options.calls)),
                    flush=True,
                )
    if options.only in "long":
        for text in (*long_calls(options.threads), *numpy_beside(options.threads)):
            print(text, flush=True)


if __name__ == "__main__":
    main()
