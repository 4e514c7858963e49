"""How the numbers of a layer are spread, from parts that come one after another, in memory that doesn't grow with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BINS = 64
_RUNS = 16


@dataclass(frozen=True)
class Spread:
    """Statistics of many numbers; those of numbers that are not finite are left out, and counted.

    Parameters
    ----------
    count : int
        How many numbers.
    not_finite : int
        How many of them are NaN or infinite.
    mean, std, low, high : float
        Of the others; NaN of none.
    over_samples : float or None
        The standard deviation of each unit over the samples, averaged over units; None of fewer than two samples.
    zeros : float
        The share of zeros.
    bins : tuple of int
        How many numbers are in each of 64 equal parts of the range.
    edges : (float, float)
        The range: that of the first part of the numbers.
    under, over : int
        How many numbers lie below and above the range.
    """

    count: int
    not_finite: int
    mean: float
    std: float
    over_samples: float | None
    low: float
    high: float
    zeros: float
    bins: tuple[int, ...]
    edges: tuple[float, float]
    under: int
    over: int

    @property
    def rms(self) -> float:
        """The root of the mean square."""
        return math.hypot(self.mean, self.std)


class _Units:
    """Means and squared deviations over samples of each unit at each position, merged from parts (Chan et al. 1979)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.samples = 0
        self.mean, self.squares = np.zeros(shape), np.zeros(shape)

    def add(self, values: Array) -> tuple[float, float]:
        """Further samples, along the first axis; returns the mean of all their values, and the sum of squares around it."""
        count = len(values)
        mean = values.mean(axis=0, dtype=np.float64)
        deviations = values - mean
        squares = np.einsum("i...,i...->...", deviations, deviations)
        middle = float(mean.mean())
        around = float(squares.sum() + count * np.square(mean - middle).sum())
        apart, total = mean - self.mean, self.samples + count
        self.squares += squares + apart**2 * (self.samples * count / total)
        self.mean += apart * (count / total)
        self.samples = total
        return middle, around


class Running:
    """Gathers a `Spread`.

    Arrays are (samples, units, positions), where positions are places in an image or steps of a sequence.

    Parameters
    ----------
    edges : (float, float), optional
        The range of the histogram; by default that of the first numbers.
    symmetric : bool
        Whether the range is by default twice as wide, around 0, since there will be other numbers.
    by_units : bool
        Whether the first axis is that of samples.
    """

    def __init__(
        self, edges: tuple[float, float] | None = None, symmetric: bool = False, *, by_units: bool = True
    ) -> None:
        self.samples = self.count = self.not_finite = self._zeros = self._finite = 0
        self._under = self._over = 0
        self._mean = self._squares = 0.0
        self._low, self._high = math.inf, -math.inf
        self._bins = np.zeros(BINS, np.int64)
        self._edges, self._symmetric, self._by_units = edges, symmetric, by_units
        self._units: dict[tuple[int, ...], _Units] = {}  # by the shape of a sample, since sequences differ in length

    def add(self, values: Array) -> None:
        """Take in further samples."""
        if not values.size:
            return
        self.samples += len(values)
        self.count += values.size
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            finite = values[np.isfinite(values)]
            self.not_finite += values.size - finite.size
            if not finite.size:
                return
            values, low, high = finite, float(finite.min()), float(finite.max())
        if values.ndim == 3 and self._by_units:
            if values.shape[1:] not in self._units:
                self._units[values.shape[1:]] = _Units(values.shape[1:])
            self._merge(values.size, *self._units[values.shape[1:]].add(values))
        else:
            mean = float(values.mean(dtype=np.float64))
            self._merge(values.size, mean, float(np.square(values - np.float64(mean)).sum()))
        self._low, self._high = min(self._low, low), max(self._high, high)
        self._zeros += values.size - int(np.count_nonzero(values))
        self._fill(values, low, high)

    def _merge(self, count: int, mean: float, squares: float) -> None:
        apart, total = mean - self._mean, self._finite + count
        self._squares += squares + apart**2 * (self._finite * count / total)
        self._mean += apart * (count / total)
        self._finite = total

    def _fill(self, values: Array, low: float, high: float) -> None:
        if self._edges is None:
            farthest = 2 * max(abs(low), abs(high))
            self._edges = edges_of(-farthest, farthest) if self._symmetric else edges_of(low, high)
        left, right = self._edges
        places = (values.ravel().astype(np.float64) - left) * (BINS / (right - left))
        np.clip(places, 0, BINS - 1, out=places)
        under = int(np.count_nonzero(values < left)) if low < left else 0
        over = int(np.count_nonzero(values > right)) if high > right else 0
        counts = np.bincount(places.astype(np.int64), minlength=BINS)
        counts[0] -= under
        counts[-1] -= over
        self._bins += counts
        self._under += under
        self._over += over

    def result(self) -> Spread:
        """What was gathered."""
        some = self._finite > 0
        return Spread(
            self.count,
            self.not_finite,
            self._mean if some else math.nan,
            math.sqrt(self._squares / self._finite) if some else math.nan,
            self._over_samples(),
            self._low if some else math.nan,
            self._high if some else math.nan,
            self._zeros / self.count if self.count else math.nan,
            tuple(self._bins.tolist()),
            self._edges or (0.0, 0.0),
            self._under,
            self._over,
        )

    def _over_samples(self) -> float | None:
        known = [units for units in self._units.values() if units.samples > 1]
        amounts = [units.samples * units.squares.size for units in known]
        if not sum(amounts):
            return None
        means = [float(np.sqrt(units.squares / units.samples).mean()) for units in known]
        return math.fsum(mean * amount for mean, amount in zip(means, amounts, strict=True)) / sum(amounts)


def edges_of(low: float, high: float) -> tuple[float, float]:
    """A range that has a width, also of equal numbers; as `numpy.histogram` has it.

    >>> edges_of(0.0, 2.0), edges_of(3.0, 3.0)
    ((0.0, 2.0), (2.5, 3.5))
    """
    if high - low > 1e-12 * max(abs(low), abs(high)):
        return low, high
    half = max(0.5, 1e-6 * abs(low))
    return low - half, high + half


def spread_of(values: Array, most: int | None = None) -> Spread:
    """The statistics of an array without samples, such as a weight, or of about so many of its values, evenly spread.

    >>> import numpy as np
    >>> spread = spread_of(np.array([-1.0, 0.0, 1.0, 2.0]))
    >>> spread.mean, spread.zeros, spread.over_samples
    (0.5, 0.25, None)
    """
    gathered = Running(by_units=False)
    with np.errstate(all="ignore"):
        gathered.add((values if most is None else some_of(values, most)).reshape(1, -1, 1))
    return gathered.result()


def some_of(values: Array, most: int) -> Array:
    """About so many values of an array, in evenly spread runs: values that lie side by side are read together.

    >>> import numpy as np
    >>> some_of(np.arange(6000.0), 64)[:2, :3]
    array([[  0.,   1.,   2.],
           [375., 376., 377.]])
    """
    if values.size <= most:
        return values.reshape(-1)
    whole = values.size // _RUNS * _RUNS
    return values.reshape(-1)[:whole].reshape(_RUNS, -1)[:, : most // _RUNS]
