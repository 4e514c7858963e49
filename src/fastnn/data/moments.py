"""Means and variances of features as statistics of a transformer, from samples that come in blocks."""

from __future__ import annotations

import numpy as np

from ..nn.moments import Moments, without_variance
from .transformer import Array, Statistics, named

MOMENTS = ("count", "pivot", "offset", "squares")  # the statistics of a feature, by their names in `Moments`


def empty_moments(features: int) -> Statistics:
    """Statistics of no samples."""
    return {name: np.zeros(features) for name in MOMENTS}


def add_moments(statistics: Statistics, values: Array) -> None:
    """Merge the moments of values (features, samples) into statistics; NaN is left out."""
    moments = Moments(len(values))
    vars(moments).update((name, statistics[name]) for name in MOMENTS)
    moments.add(values, skip_nan=True)
    statistics.update((name, getattr(moments, name)) for name in MOMENTS)


def check_statistics(statistics: Statistics, sizes: dict[str, int]) -> None:
    """Refuse statistics of a state with other names, lengths or impossible counts."""
    found = {name: array.shape for name, array in statistics.items()}
    expected: dict[str, tuple[int, ...]] = {name: (n,) for name, n in sizes.items()}
    if found != expected:
        raise ValueError(f"statistics must have the shapes {expected}, got {found}")
    for name in ("count", "squares"):
        array = statistics[name]
        if not (array >= 0).all() and not np.isnan(array).any():
            raise ValueError(f"statistics[{name!r}] must not be negative, got {array.min()}")


def mean_and_variance(statistics: Statistics) -> tuple[Array, Array, Array]:
    """Mean and variance of each feature, NaN where there is no value; and where the variance is but rounding."""
    count = statistics["count"]
    nothing = count == 0
    divisor = np.where(nothing, 1.0, count)
    mean = np.where(nothing, np.nan, statistics["pivot"] + statistics["offset"])
    variance = np.where(nothing, np.nan, statistics["squares"] / divisor)
    return mean, variance, without_variance(variance, mean, count)


def refuse_too_large(unbounded: Array, shape: tuple[int, ...], what: str) -> None:
    """Refuse features whose statistics float64 cannot hold."""
    if unbounded.any():
        places = named(np.flatnonzero(unbounded), shape, None)
        raise ValueError(
            f"the values of feature {places} are so large that their {what} is beyond float64; scale them first"
        )
