"""Means and variances of numbers that come in parts, and when a variance is no more than rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Moments:
    """Count, mean and sum of squared deviations per feature, in float64 (Chan, Golub and LeVeque 1979).

    Parameters
    ----------
    features : int
        How many there are.
    """

    def __init__(self, features: int) -> None:
        self.count, self.mean, self.squares = np.zeros(features), np.zeros(features), np.zeros(features)

    def add(self, values: Array, *, skip_nan: bool = False) -> None:
        """Take in further samples, ``values`` (features, samples) in float64, with or without those that are NaN."""
        missing = np.isnan(values) if skip_nan else None
        if missing is None or not missing.any():
            missing, count = None, np.full(len(values), float(values.shape[1]))
        else:
            count = values.shape[1] - missing.sum(1).astype(np.float64)
            values = np.where(missing, 0.0, values)
        divisor = np.maximum(count, 1.0)
        mean = values.sum(1) / divisor
        deviations = values - mean[:, None]
        if missing is not None:
            deviations[missing] = 0.0
        # What the rounded mean left: with it the mean of a constant is that constant.
        left = deviations.sum(1) / divisor
        squares = np.square(deviations, out=deviations).sum(1) - count * left**2
        self._merge(count, mean + left, np.maximum(squares, 0.0))

    def _merge(self, count: Array, mean: Array, squares: Array) -> None:
        apart = mean - self.mean
        share = count / np.maximum(self.count + count, 1.0)
        squares = self.squares + squares + apart**2 * (self.count * share)
        # Features of which nothing new came stay to the bit; the first values are taken as they are.
        self.squares = np.where(count > 0, squares, self.squares)
        self.mean = np.where(self.count > 0, np.where(count > 0, self.mean + apart * share, self.mean), mean)
        self.count = self.count + count


def without_variance(variance: Array, mean: Array, count: Array | float) -> Array:
    """Where a variance is within the error of computing it in float64, so that the values may be equal.

    The bound of the two-pass algorithm by Chan, Golub and LeVeque (1983), as scikit-learn applies it:
    ``variance <= n ε variance + (n ε mean)²``.
    """
    eps = np.finfo(np.float64).eps
    bound: Array = count * eps * variance + (count * mean * eps) ** 2
    return np.isfinite(variance) & (variance <= bound)
