"""Start threads, change their number, fork and call kernels at random: ``python tools/stress_threads.py [SECONDS] [--seed N]``.

Each round is a child that has no threads yet. It computes on several Python threads at once, with other numbers of threads
from call to call, beside NumPy's products and after pauses, and forks children that do so, too. All bits must be those of
one thread. A child that does not end within a minute counts as hanging. Ends with exit code 1 if there was a fault.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable

import numpy as np

import fastnn as fnn
import fastnn.functional as F
from fastnn import _core

PATIENCE = 60  # seconds
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def works() -> list[Callable[[], bytes]]:
    """Calls of all kinds: short and long ones, sums, recurrent steps that threads share."""
    image, kernel, rows, weight = normal(4, 16, 24, 24), normal(16, 16, 3, 3), normal(64, 300), normal(200, 300)
    sequence, w, r, state = normal(6, 1, 16), normal(512, 16), normal(512, 128), np.zeros((1, 128), np.float32)
    return [
        lambda: F.tanh(rows).tobytes(),
        lambda: F.conv2d(image, kernel, padding=1).tobytes(),
        lambda: F.conv2d_backward(image, image, kernel, padding=1)[1].tobytes(),
        lambda: F.linear(rows, weight).tobytes(),
        lambda: F.layer_norm(rows, 300).tobytes(),
        lambda: F.lstm(sequence, state, state, w, r)[0].tobytes(),
    ]


WORKS = works()
with fnn.set_num_threads(1):
    EXPECTED = [work() for work in WORKS]
PRODUCT = normal(200, 200)


def step(draw: random.Random, seconds: float) -> None:
    """Something at random, for about so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        what = draw.random()
        if what < 0.7:
            i = draw.randrange(len(WORKS))
            assert WORKS[i]() == EXPECTED[i], f"call {i} gave other bits"
        elif what < 0.8:
            fnn.set_num_threads(draw.choice((1, 2, 2, 3, 7)))
        elif what < 0.9:
            if threading.active_count() == 1:  # OpenBLAS (0.3.31) hangs where a thread forks while another multiplies
                PRODUCT @ PRODUCT
        else:
            time.sleep(draw.choice((0, 1e-4, 3e-4, 2e-3)))


def several(draw: random.Random, seconds: float) -> None:
    """Python threads that do so at once, of which one forks children."""
    failures: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            step(random.Random(seed), seconds)
        except BaseException as error:  # noqa: BLE001 it is raised again below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(draw.random(),)) for _ in range(draw.randrange(4))]
    for t in threads:
        t.start()
    for _ in range(draw.randrange(3)):
        in_child(lambda: step(draw, seconds / 4), draw)
    step(draw, seconds)
    for t in threads:
        t.join()
    if failures:
        raise failures[0]


def in_child(function: Callable[[], None], draw: random.Random) -> None:
    """The function in a forked child, which must end well; half of them end as a program does, half at once."""
    at_once = draw.random() < 0.5
    child = os.fork()
    if not child:
        try:
            function()
        except SystemExit:  # of a child of this one
            raise
        except BaseException as error:  # noqa: BLE001 the parent is told by the exit code
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        if at_once:
            os._exit(0)
        sys.exit(0)
    end = time.monotonic() + PATIENCE
    while (done := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGABRT)  # it prints where it hangs
            os.waitpid(child, 0)
            raise RuntimeError("a child hung")
        time.sleep(1e-3)
    if code := os.waitstatus_to_exitcode(done[1]):
        raise RuntimeError(f"a child ended with {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from Python 3.12 on
    _core.set_thread_cost(0.0)
    print(f"seed {options.seed}, threads of the {_core.runtime()}", flush=True)
    draw, rounds, end = random.Random(options.seed), 0, time.monotonic() + options.seconds
    while time.monotonic() < end:
        in_child(lambda: several(draw, draw.choice((0.05, 0.2, 1.0))), draw)
        draw.random()  # the child drew from a copy
        rounds += 1
    print(f"{rounds} rounds, no fault")


if __name__ == "__main__":
    main()
