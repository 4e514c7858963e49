"""Shapes, arguments and values that hurt, drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Sample

Shape = tuple[int, ...]

# 1, odd, 2^k and its neighbours: the edges of vectors, tiles and blocks.
SIZES = [
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    127,
    128,
    129,
    255,
    257,
    511,
    513,
    1023,
    1025,
    4097,
]
NOT_FINITE = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40]


class Draw:
    """What samples are made of; it depends on the seed alone. Values are ones that float32 holds, in float64."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.kind = self.pick("normal", "normal", "normal", "ties", "special", "special", "constant", "small", "mean")
        self.special = False

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, *options: Any) -> Any:
        return options[self.rng.integers(len(options))]

    def int(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def size(self, most: int, least: int = 1) -> int:
        if self.chance(0.3):
            return self.int(least, max(least, min(most, 40)))
        return int(self.pick(*[s for s in SIZES if least <= s <= most] or [least]))

    def shape(self, rank: int, elements: int, least: int = 1, empty: float = 0.03) -> Shape:
        """About ``elements`` at most; the axes share them in random order."""
        shape = [1] * rank
        for axis in self.rng.permutation(rank):
            shape[axis] = self.size(max(least, elements), least) if self.chance(0.85) else least
            elements //= shape[axis]
        if rank and self.chance(empty):
            shape[self.int(0, rank - 1)] = 0
        return tuple(shape)

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return np.asarray(self.rng.standard_normal(shape) * scale).astype(np.float32).astype(np.float64)

    def positive(self, *shape: int) -> np.ndarray:
        return np.asarray(self.rng.uniform(0.1, 2.0, shape)).astype(np.float32).astype(np.float64)

    def share(self, *shape: int) -> np.ndarray:
        """Between 0 and 1, some of them 0 and 1."""
        p = np.asarray(np.clip(self.rng.uniform(-0.1, 1.1, shape), 0, 1))
        return p.astype(np.float32).astype(np.float64)

    def labels(self, classes: int, *shape: int, ignored: bool = False) -> np.ndarray:
        target = np.asarray(self.rng.integers(0, classes, shape))
        if ignored and target.size > 1 and self.chance(0.3):
            target.reshape(-1)[1 :: self.int(2, 4)] = -100
        return target

    def values(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """Of the kind that this draw is of; most kinds are ones that went wrong somewhere once."""
        if self.kind == "ties":
            return self.rng.integers(-2, 3, shape).astype(np.float64)
        if self.kind == "constant":
            return np.full(shape, np.float32(self.pick(0.0, 1.0, -100.3, 1234.567)), np.float64)
        if self.kind == "small":
            return self.normal(*shape, scale=1e-30)
        x = self.normal(*shape, scale=scale)
        if self.kind == "mean":
            return np.asarray(x + np.float32(self.pick(30.0, -1000.0))).astype(np.float32).astype(np.float64)
        if self.kind == "special" and x.size:
            self.special = True
            for _ in range(self.int(1, 3)):
                x.reshape(-1)[self.int(0, x.size - 1)] = np.float32(self.pick(*NOT_FINITE))
        return x

    def maybe(self, a: Any, p: float = 0.5) -> Any:
        return a if self.chance(p) else None

    def sample(self, *arrays: np.ndarray | None, **options: Any) -> Sample:
        return Sample(arrays, options, self.special, self.kind)
