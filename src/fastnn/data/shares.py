"""Whole numbers of samples in given proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DIGITS = 9  # shares are rounded to so many, so that those that differ by rounding errors only are equal


def whole(
    shares: NDArray[np.float64],
    total: int,
    random: np.random.RandomState | np.random.Generator,
    low: NDArray[np.intp] | int = 0,
    high: NDArray[np.intp] | int | None = None,
) -> NDArray[np.intp]:
    """Integers next to ``shares``, in [low, high] and adding up to ``total`` where those allow it.

    The shares are rounded down, and 1 is added where the most was lost (the method of the largest remainder); which of
    equal ones get it is drawn.
    """
    shares = np.round(shares, _DIGITS)
    low = np.broadcast_to(low, shares.shape)
    high = np.broadcast_to(total if high is None else high, shares.shape)
    counts = np.clip(np.floor(shares).astype(np.intp), low, high)
    ties = random.permutation(len(shares))
    while (missing := total - int(counts.sum())) != 0:
        step = 1 if missing > 0 else -1
        room = counts < high if step > 0 else counts > low
        if not room.any():
            break
        order = np.lexsort((ties, step * (counts - shares)))
        counts[order[room[order]][: abs(missing)]] += step
    return counts


def of_classes(
    counts: NDArray[np.intp], n: int, random: np.random.RandomState | np.random.Generator
) -> NDArray[np.intp]:
    """How many of ``n`` samples each class gets, in the proportions of ``counts``."""
    return whole(counts * (n / counts.sum()), n, random)
