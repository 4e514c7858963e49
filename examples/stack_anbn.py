"""Counting: a plain RNN and a stack RNN with as many units read a^n b^n, trained on n from 1 to 6, tested up to 12.

python examples/stack_anbn.py [--units 4] [--seeds 5] [--steps 1500]

After the first b, the rest of a string is determined: n - 1 more b, then the end. A network has read a string if it
foretells all of that.

How many of five seeds read a^n b^n, as it came out:

n                   1   2   3   4   5   6   7   8   9  10  11  12
4 units, plain      5   5   5   5   5   5   2   0   0   0   0   0
4 units, stack      5   5   5   5   5   5   4   3   2   2   2   2
12 units, plain     5   5   5   5   5   5   2   0   0   0   0   0
12 units, stack     5   5   5   5   5   5   4   2   0   0   0   0

Both learn what they were trained on. Only with the stack do some go on counting, and only where the state is too small to
count to six by itself: two of five then read everything up to 12; twelve units find another way.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import nn, optim

A, B, END = range(3)
TRAINED, TESTED = range(1, 7), range(1, 13)
UNITS, DEPTH = 4, 16
IGNORED = -100


def strings(lengths: range) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Symbols (steps, batch, 2) and what follows them (steps, batch), IGNORED where that is not determined."""
    steps = 2 * lengths[-1]
    x = np.zeros((steps, len(lengths), 2), np.float32)
    target = np.full((steps, len(lengths)), IGNORED)
    for i, n in enumerate(lengths):
        x[:n, i, A] = x[n : 2 * n, i, B] = 1
        target[n : 2 * n - 1, i], target[2 * n - 1, i] = B, END
    return x, target


class Reader(nn.Module):
    """A recurrent network and, from its state, logits of the next symbol."""

    def __init__(self, kind: str, seed: int, units: int) -> None:
        rng = np.random.default_rng(seed)
        self.recurrent = nn.StackRNN(2, units, DEPTH, rng=rng) if kind == "stack" else nn.RNN(2, units, rng=rng)
        self.linear = nn.Linear(units, 3, rng=rng)

    def forward(self, x: Any) -> Any:
        """x (steps, batch, 2) -> logits (steps, batch, 3)."""
        return self.linear(self.recurrent(x)[0])


def train(kind: str, seed: int, steps: int, units: int = UNITS) -> Reader:
    """Every step sees all strings of the training set."""
    model = Reader(kind, seed, units)
    x, target = strings(TRAINED)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        optimizer.lr = 1e-2 * (1 - step / steps)
        optimizer.zero_grad()
        fnn.functional.cross_entropy(model(x).reshape(-1, 3), target.reshape(-1), ignore_index=IGNORED).backward()
        optimizer.step()
    return model


def read(model: Reader) -> NDArray[np.bool_]:
    """Which n of TESTED the model has read."""
    x, target = strings(TESTED)
    with fnn.no_grad():
        found = model(x).numpy().argmax(axis=2)
    return np.asarray(((found == target) | (target == IGNORED)).all(axis=0))


def main(short: bool = False, units: int = UNITS, seeds: int = 5, steps: int = 1500) -> dict[str, NDArray[np.int64]]:
    """Print, and return, how many of the seeds have read each n; ``short`` is for tests."""
    seeds, steps = (1, 300) if short else (seeds, steps)
    print("n           " + "".join(f"{n:4d}" for n in TESTED))
    results = {}
    for kind in ("plain", "stack"):
        results[kind] = np.sum([read(train(kind, seed, steps, units)) for seed in range(seeds)], axis=0)
        print(f"{kind}, of {seeds}" + "".join(f"{count:4d}" for count in results[kind]))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    main(units=options.units, seeds=options.seeds, steps=options.steps)
