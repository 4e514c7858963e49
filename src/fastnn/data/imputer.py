"""Missing values filled by what is usual in the training part."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from ..checks import scalars
from ..nn import FillMissing
from ..nn.scaling import BLOCK
from .moments import add_moments, empty_moments, refuse_too_large
from .transformer import Statistics, Transformer, blocks, feature_names, float_of, named, warn

Array = np.ndarray[Any, Any]

_STRATEGIES = ("median", "mean", "constant")


class Imputer(Transformer):
    """Fills what is missing, which NaN stands for: with the median or mean of its feature, or with a number.

    Parameters
    ----------
    strategy : {"median", "mean", "constant"}
        What takes the place of NaN: the median or the mean of the values of the feature that are there, or ``fill_value``.
    fill_value : float
        For ``"constant"``, and for features without any value in the training part.

    Attributes
    ----------
    statistics_ : ndarray of float64, shape of a sample
        What NaN is replaced by.
    missing_ : ndarray of int64, shape of a sample
        How many values of each feature `fit` missed.
    n_samples_seen_ : int
        Samples.
    n_features_in_ : int
        Elements of a sample.
    feature_names_in_ : ndarray of str, (n_features_in_,)
        The names of the columns, where `fit` got a table with such.

    Notes
    -----
    Fit it to the training part alone, and put ``imputer.as_module()`` at the front of the model, before the layer that scales:
    then the model itself takes data with gaps, those of columns too that had none in the training part.

    Medians and means are computed in float64. Results are of the float dtype of the samples, or float64 of integers. Infinity
    is an error. `fit` names features without a value in a warning. Samples of more axes (N, ...) have a number per element.

    It does what scikit-learn's ``SimpleImputer`` does, with the median as the default, because a few large values move a mean;
    features without a value are kept. In scikit-learn it works as a transformer; ``state_dict()`` goes into a checkpoint.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import Imputer
    >>> train, test = np.array([[1.0, 5.0], [np.nan, 7.0], [3.0, 9.0], [8.0, 7.0]]), np.array([[np.nan, np.nan]])
    >>> imputer = Imputer().fit(train)
    >>> imputer.transform(test)
    array([[3., 7.]])
    >>> imputer.as_module()(test)
    array([[3., 7.]])
    """

    statistics_: Array
    missing_: Array
    n_samples_seen_: int

    def __init__(self, strategy: str = "median", *, fill_value: float = 0.0) -> None:
        self.strategy = strategy
        self.fill_value = fill_value

    def _check_parameters(self, op: str) -> None:
        if not isinstance(self.strategy, str) or self.strategy not in _STRATEGIES:
            raise ValueError(f"{op}: strategy must be one of {str(_STRATEGIES)[1:-1]}, got {self.strategy!r}")
        scalars.real(op, "fill_value", self.fill_value)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from samples, X (N, ...), what to fill with; ``y`` is not used.

        A ValueError for infinities, no samples or no features, or samples with one axis; a TypeError for what are no
        real numbers.
        """
        op = "Imputer.fit"
        self._check_parameters(op)
        x = self._samples(op, X, known=False)
        if not len(x):
            raise ValueError(f"{op}: Found array with 0 sample(s) (shape={x.shape}) while a minimum of 1 is required.")
        shape = x.shape[1:]
        moments = empty_moments(math.prod(shape))
        with np.errstate(over="ignore", invalid="ignore"):
            for part in blocks(x):
                add_moments(moments, part.T)
        values = np.full(len(moments["count"]), float(self.fill_value))
        there = np.flatnonzero(moments["count"])
        if self.strategy == "mean":
            values[there] = (moments["pivot"] + moments["offset"])[there]
        elif self.strategy == "median":
            values[there] = _medians(x.reshape(len(x), -1), there)
        statistics = {"values": values, "count": moments["count"], "samples": np.array([float(len(x))])}
        try:
            self._settle(shape, feature_names(X), statistics)
        except ValueError as error:
            raise ValueError(f"{op}: {error}") from None
        empty = np.flatnonzero(moments["count"] == 0)
        if len(empty) and self.strategy != "constant":
            names = named(empty, shape, getattr(self, "feature_names_in_", None))
            warn(
                f"{op}: {len(empty)} of {len(values)} features have no value, and are filled with {self.fill_value:g}: {names}"
            )
        return self

    def _attributes(self, shape: tuple[int, ...], statistics: Statistics) -> dict[str, Any]:
        size = math.prod(shape)
        found = {name: array.shape for name, array in statistics.items()}
        expected = {"values": (size,), "count": (size,), "samples": (1,)}
        if found != expected:
            raise ValueError(f"statistics must have the shapes {expected}, got {found}")
        refuse_too_large(~np.isfinite(statistics["values"]), shape, self.strategy)
        count, samples = statistics["count"], statistics["samples"][0]
        if not ((count >= 0) & (count <= samples)).all():
            raise ValueError(f"statistics['count'] must be in 0…{samples:g}, got {count.min():g}…{count.max():g}")
        return {
            "statistics_": statistics["values"].reshape(shape),
            "missing_": (samples - count).astype(np.int64).reshape(shape),
            "n_samples_seen_": int(samples),
        }

    def transform(self, X: Any) -> Any:
        """A new array of the shape of X (N, ...) without NaN; of its float dtype, or float64 for integers.

        A ValueError where X has other features than `fit` saw, or is infinite somewhere.
        """
        op = "Imputer.transform"
        self._require_fitted(op)
        x = self._samples(op, X, known=True)
        return self._wrapped(self.as_module().compute(x, float_of(x.dtype)), X)

    def as_module(self, *, dtype: Any = None) -> FillMissing:
        """A layer that does what `transform` does, without anything to train; gradients go through to its input.

        Its output is of the dtype of its input, and float64 of integers, for a layer that scales to follow; or of ``dtype``,
        float32 or float64. A ValueError before `fit`.
        """
        self._require_fitted("Imputer.as_module")
        module = FillMissing(self._shape, out_dtype=dtype)
        module.values = self.statistics_.copy()
        return module


def _medians(x: Array, features: Array) -> Array:
    """The median of each of these columns (N, F), without their NaN."""
    step = max(1, BLOCK // len(x))
    parts = [
        np.nanmedian(x[:, features[i : i + step]].astype(np.float64), axis=0) for i in range(0, len(features), step)
    ]
    return np.concatenate([np.empty(0), *parts])
