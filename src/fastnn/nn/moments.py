"""Means and variances of numbers that come in parts, and when a variance is no more than rounding."""

from __future__ import annotations

import numpy as np

from .._types import Array


class Moments:
    """Count, mean and sum of squared deviations per feature, in float64 (Chan, Golub and LeVeque 1979).

    Means are kept as differences from a pivot, the mean of the first values: of values far from zero, parts would else
    lose digits of the variance when they are merged.

    Parameters
    ----------
    features : int
        How many there are.
    """

    def __init__(self, features: int) -> None:
        self.count, self.pivot, self.offset, self.squares = (np.zeros(features) for _ in range(4))

    @property
    def mean(self) -> Array:
        """The mean of each feature, 0 where there is no value."""
        mean: Array = self.pivot + self.offset
        return mean

    def add(self, values: Array, *, skip_nan: bool = False) -> None:
        """Take in further samples, ``values`` (features, samples) in float64, with or without those that are NaN."""
        missing = np.isnan(values) if skip_nan else None
        if missing is None or not missing.any():
            missing, count = None, np.full(len(values), float(values.shape[1]))
        else:
            count = values.shape[1] - missing.sum(1).astype(np.float64)
            values = np.where(missing, 0.0, values)
        divisor = np.maximum(count, 1.0)
        self.pivot = np.where(self.count > 0, self.pivot, values.sum(1) / divisor)
        shifted = values - self.pivot[:, None]
        if missing is not None:
            shifted[missing] = 0.0
        offset = shifted.sum(1) / divisor
        shifted -= offset[:, None]
        if missing is not None:
            shifted[missing] = 0.0
        left = shifted.sum(1) / divisor  # the mean's rounding error; once it is added, the mean of a constant is exact
        squares = np.square(shifted, out=shifted).sum(1) - count * left**2
        self._merge(count, offset + left, np.maximum(squares, 0.0))

    def _merge(self, count: Array, offset: Array, squares: Array) -> None:
        apart = offset - self.offset
        share = count / np.maximum(self.count + count, 1.0)
        more = count > 0  # features without new values keep their statistics to the bit
        self.squares = np.where(more, self.squares + squares + apart**2 * (self.count * share), self.squares)
        self.offset = np.where(more, np.where(self.count > 0, self.offset + apart * share, offset), self.offset)
        self.count = self.count + count


def without_variance(variance: Array, mean: Array, count: Array | float) -> Array:
    """Where a variance is within the error of computing it in float64, so that the values may be equal.

    The bound of the two-pass algorithm by Chan, Golub and LeVeque (1983), as scikit-learn applies it:
    ``variance <= n ε variance + (n ε mean)²``.
    """
    eps = np.finfo(np.float64).eps
    bound: Array = count * eps * variance + (count * mean * eps) ** 2
    return np.isfinite(variance) & (variance <= bound)
