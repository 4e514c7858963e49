"""Scaling of features by statistics of the training part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..checks import scalars
from ..nn import Rescale, Standardize
from .moments import MOMENTS, add_moments, check_statistics, empty_moments, mean_and_variance, refuse_too_large
from .scaler import FeatureScaler
from .transformer import Array, Statistics, blocks


class StandardScaler(FeatureScaler):
    """Shifts features to mean 0 and divides them by their standard deviation: ``(x - mean) / std``.

    Parameters
    ----------
    with_mean : bool
        Whether the mean is subtracted.
    with_std : bool
        Whether to divide by the standard deviation, that of all N values (divided by N, not N − 1).

    Attributes
    ----------
    mean_ : ndarray of float64, shape of a sample, or None
        None if neither is wanted.
    var_, scale_ : ndarray of float64, shape of a sample, or None
        The variance and what is divided by, its root, or 1 of constant features; None without ``with_std``.
    constant_ : ndarray of int, (n,)
        Indices of the features, in C order, that counted as constant; they become 0.
    n_samples_seen_ : int or ndarray of int64, shape of a sample
        Values per feature; an array where NaN makes them different.
    n_features_in_ : int
        Elements of a sample.
    feature_names_in_ : ndarray of str, (n_features_in_,)
        The names of the columns, where `fit` got a table with such.

    Notes
    -----
    Fit it to the training part alone, and transform the other parts with the same object: what it knows of them would make the
    test too good.

    Statistics are computed in float64, in parts that are merged (Chan, Golub and LeVeque 1979), and so is the result, which
    is rounded once: to float16, float32 or float64 where the samples are of it, else it is float64. NaN counts as missing:
    it is left out of the statistics and stays NaN; `Imputer` fills it. Infinity is an error. A feature without a value
    stays NaN. Where a variance is within the error of computing it, ``var <= n·ε·var + (n·ε·mean)²`` (scikit-learn's rule),
    the feature counts as constant: it is not divided by its spread, `fit` names it in a warning, and ``constant_`` lists
    it. `partial_fit` doesn't warn, since further samples may differ.

    In scikit-learn it works as a transformer. Samples of more axes (N, ...) have a statistic per element, whose arrays have the
    shape of a sample. ``state_dict()`` goes into a checkpoint.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import StandardScaler
    >>> train, test = np.array([[0.0, 10.0], [4.0, 30.0]]), np.array([[2.0, 40.0]])
    >>> scaler = StandardScaler().fit(train)
    >>> scaler.transform(test)
    array([[0., 2.]])
    >>> scaler.inverse_transform(scaler.transform(test))
    array([[ 2., 40.]])
    """

    _outcome = "0"
    mean_: Array | None
    var_: Array | None
    scale_: Array | None
    n_samples_seen_: int | Array

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def _check_parameters(self, op: str) -> None:
        scalars.flag(op, "with_mean", self.with_mean)
        scalars.flag(op, "with_std", self.with_std)

    def _attributes(self, shape: tuple[int, ...], statistics: Statistics) -> dict[str, Any]:
        check_statistics(statistics, dict.fromkeys(MOMENTS, math.prod(shape)))
        mean, variance, constant = mean_and_variance(statistics)
        there = statistics["count"] > 0
        refuse_too_large(there & ~np.isfinite(mean), shape, "mean")
        if self.with_std:
            refuse_too_large(there & ~np.isfinite(variance), shape, "variance")
        count = statistics["count"].astype(np.int64)
        scale = np.sqrt(np.where(constant, 1.0, variance))
        return {
            "mean_": mean.reshape(shape) if self.with_mean or self.with_std else None,
            "var_": variance.reshape(shape) if self.with_std else None,
            "scale_": scale.reshape(shape) if self.with_std else None,
            "constant_": np.flatnonzero(constant),
            "n_samples_seen_": int(count[0]) if (count == count[0]).all() else count.reshape(shape),
        }

    def _warn_of_constants(self, op: str) -> None:
        if self.with_std:
            super()._warn_of_constants(op)

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Standardize:
        module = Standardize(self._shape, inverse=inverse, out_dtype=dtype)
        if self.with_mean:
            module.mean = np.array(self.mean_)
        if self.with_std:
            module.scale = np.array(self.scale_)
        return module


class MinMaxScaler(FeatureScaler):
    """Maps the range of each feature to a given one: ``(x - min) / (max - min) · (high - low) + low``.

    Parameters
    ----------
    feature_range : (float, float)
        ``low`` and ``high``: what the smallest and the largest value become.
    clip : bool
        Whether `transform` cuts values off that are beyond the range of those that `fit` saw.

    Attributes
    ----------
    data_min_, data_max_, data_range_ : ndarray of float64, shape of a sample
        The smallest and the largest value, and their difference.
    scale_, min_ : ndarray of float64, shape of a sample
        As in scikit-learn: the result is ``x · scale_ + min_``, but computed without its loss of digits.
    constant_ : ndarray of int, (n,)
        Indices of the features, in C order, that counted as constant: of these values `fit` saw the smallest becomes
        ``low``, and none is divided.
    n_samples_seen_ : int
        Samples.
    n_features_in_ : int
        Elements of a sample.
    feature_names_in_ : ndarray of str, (n_features_in_,)
        The names of the columns, where `fit` got a table with such.

    Notes
    -----
    Fit it to the training part alone, and transform the other parts with the same object: what it knows of them would make the
    test too good.

    Statistics are computed in float64, in parts that are merged (Chan, Golub and LeVeque 1979), and so is the result, which
    is rounded once: to float16, float32 or float64 where the samples are of it, else it is float64. NaN counts as missing:
    it is left out of the statistics and stays NaN; `Imputer` fills it. Infinity is an error. A feature without a value
    stays NaN. Where a variance is within the error of computing it, ``var <= n·ε·var + (n·ε·mean)²`` (scikit-learn's rule),
    the feature counts as constant: it is not divided by its spread, `fit` names it in a warning, and ``constant_`` lists
    it. `partial_fit` doesn't warn, since further samples may differ.

    In scikit-learn it works as a transformer. Samples of more axes (N, ...) have a statistic per element, whose arrays have the
    shape of a sample. ``state_dict()`` goes into a checkpoint.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import MinMaxScaler
    >>> scaler = MinMaxScaler().fit(np.array([[0.0, 10.0], [4.0, 30.0]]))
    >>> scaler.transform(np.array([[1.0, 40.0]]))
    array([[0.25, 1.5 ]])
    """

    _outcome = "the lower end of feature_range"
    data_min_: Array
    data_max_: Array
    data_range_: Array
    scale_: Array
    min_: Array
    n_samples_seen_: int

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, clip: bool = False) -> None:
        self.feature_range = feature_range
        self.clip = clip

    def _check_parameters(self, op: str) -> None:
        scalars.flag(op, "clip", self.clip)
        if not isinstance(self.feature_range, (tuple, list)) or len(self.feature_range) != 2:
            raise TypeError(f"{op}: feature_range must be a tuple of two numbers, got {self.feature_range!r}")
        low, high = (scalars.real(op, "feature_range", end) for end in self.feature_range)
        if low >= high:
            raise ValueError(f"{op}: feature_range must begin below its end, got {self.feature_range!r}")

    def _empty(self, shape: tuple[int, ...]) -> Statistics:
        features = math.prod(shape)
        ends = {"minimum": np.full(features, np.inf), "maximum": np.full(features, -np.inf)}
        return {**empty_moments(features), **ends, "samples": np.zeros(1)}

    def _take(self, x: Array, statistics: Statistics) -> None:
        for part in blocks(x):
            add_moments(statistics, part.T)
            statistics["minimum"] = np.fmin(statistics["minimum"], np.fmin.reduce(part, axis=0))
            statistics["maximum"] = np.fmax(statistics["maximum"], np.fmax.reduce(part, axis=0))
        statistics["samples"] += len(x)

    def _attributes(self, shape: tuple[int, ...], statistics: Statistics) -> dict[str, Any]:
        features = math.prod(shape)
        sizes = dict.fromkeys((*MOMENTS, "minimum", "maximum"), features)
        check_statistics(statistics, {**sizes, "samples": 1})
        nothing = statistics["count"] == 0
        low, high = (np.where(nothing, np.nan, statistics[name]) for name in ("minimum", "maximum"))
        with np.errstate(over="ignore"):
            extent = high - low
        refuse_too_large(~nothing & ~np.isfinite(extent), shape, "range")
        constant = mean_and_variance(statistics)[2] | (extent == 0)
        start, end = (float(number) for number in self.feature_range)
        scale = (end - start) / np.where(constant, 1.0, extent)
        return {
            "data_min_": low.reshape(shape),
            "data_max_": high.reshape(shape),
            "data_range_": extent.reshape(shape),
            "scale_": scale.reshape(shape),
            "min_": (start - low * scale).reshape(shape),
            "constant_": np.flatnonzero(constant),
            "n_samples_seen_": int(statistics["samples"][0]),
        }

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Rescale:
        low, high = self.feature_range
        clip = self.clip and not inverse
        module = Rescale(self._shape, float(low), float(high), clip=clip, inverse=inverse, out_dtype=dtype)
        module.minimum = self.data_min_.copy()
        module.extent = self.data_range_.copy()
        module.extent.reshape(-1)[self.constant_] = 1.0
        return module
