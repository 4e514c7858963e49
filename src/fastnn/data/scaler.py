"""What scalers have in common: they are fitted at once or in parts, scale, and restore."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from ..checks import scalars
from ..nn import Module, Rescale, Standardize
from .moments import add_moments, empty_moments
from .transformer import Array, Statistics, Transformer, blocks, feature_names, float_of, named, warn


class Scaler(Transformer):
    """A transformer that can be fitted in parts: its statistics are merged with those of further samples."""

    constant_: Array

    def fit(self, X: Any, y: Any = None) -> Self:
        """Take the statistics of samples, X (N, ...), in place of earlier ones; ``y`` is not used.

        A ValueError for infinities, no samples or no features, or samples with one axis; a TypeError for what are no
        real numbers.
        """
        op = f"{type(self).__name__}.fit"
        self._learn(op, X, known=False)
        self._warn_of_constants(op)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Take further samples, X (N, ...), into the statistics; ``y`` is not used. Errors are those of `fit`."""
        self._learn(f"{type(self).__name__}.partial_fit", X, known=self.__sklearn_is_fitted__())
        return self

    def _learn(self, op: str, X: Any, *, known: bool) -> None:
        self._check_parameters(op)
        x = self._samples(op, X, known=known)
        self._check_axes(op, x.shape)
        if not len(x):
            raise ValueError(f"{op}: Found array with 0 sample(s) (shape={x.shape}) while a minimum of 1 is required.")
        shape = self._shape if known else x.shape[1:]
        statistics = {name: a.copy() for name, a in self._statistics.items()} if known else self._empty(shape)
        with np.errstate(over="ignore", invalid="ignore"):
            self._take(x, statistics)
        names = getattr(self, "feature_names_in_", None) if known else feature_names(X)
        try:
            self._settle(shape, names, statistics)
        except ValueError as error:
            raise ValueError(f"{op}: {error}") from None

    def _check_axes(self, op: str, shape: tuple[int, ...]) -> None:
        """Refuse samples of another rank than the scaler is for."""

    def _empty(self, shape: tuple[int, ...]) -> Statistics:
        """Statistics of no samples."""
        raise NotImplementedError

    def _take(self, x: Array, statistics: Statistics) -> None:
        """Merge the statistics of samples into those that are there, in place."""
        raise NotImplementedError

    def _warn_of_constants(self, op: str) -> None:
        raise NotImplementedError

    def transform(self, X: Any) -> Any:
        """A new array of the shape of X (N, ...), scaled; of its float dtype, or float64 for integers.

        A ValueError where X has other features than `fit` saw, or is infinite somewhere.
        """
        op = f"{type(self).__name__}.transform"
        self._require_fitted(op)
        x = self._samples(op, X, known=True)
        return self._wrapped(self._scaled(x, float_of(x.dtype)), X)

    def _scaled(self, x: Array, dtype: np.dtype[Any]) -> Array:
        raise NotImplementedError

    def inverse_transform(self, X: Any) -> Any:
        """A new array of the shape of X (N, ...), with the units that the samples had before `transform`.

        A ValueError where X has other features than `fit` saw, or is infinite somewhere.
        """
        op = f"{type(self).__name__}.inverse_transform"
        self._require_fitted(op)
        x = self._samples(op, np.asarray(X) if hasattr(X, "columns") else X, known=False)
        self._check_shape(op, x.shape[1:])
        return self._restored(x, float_of(x.dtype))

    def _restored(self, x: Array, dtype: np.dtype[Any]) -> Array:
        raise NotImplementedError

    def as_module(self, *, dtype: Any = np.float32, inverse: bool = False) -> Module:
        """A layer that does what `transform` does, or `inverse_transform`, with nothing to train; gradients go through it.

        It takes float32, float64 and integers, computes in float64, and rounds once to ``dtype``: float32, as layers have by
        default, or float64; ``astype`` of the model changes it. So data may stay in float64, where columns far from zero
        keep their digits until they are scaled. Infinity is not looked for. A ValueError before `fit`.

        ``inverse=True`` after a network that was trained on scaled targets makes a model that predicts in their units:
        ``nn.Sequential(network, scaler.as_module(inverse=True))``.
        """
        self._require_fitted(f"{type(self).__name__}.as_module")
        scalars.flag(f"{type(self).__name__}.as_module", "inverse", inverse)
        return self._module(dtype, inverse=inverse)

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Module:
        raise NotImplementedError


class FeatureScaler(Scaler):
    """A scaler with statistics per element of a sample."""

    _outcome: str  # what a constant feature becomes

    def _module(self, dtype: Any = np.float64, *, inverse: bool = False) -> Standardize | Rescale:
        raise NotImplementedError

    def _empty(self, shape: tuple[int, ...]) -> Statistics:
        return empty_moments(math.prod(shape))

    def _take(self, x: Array, statistics: Statistics) -> None:
        for part in blocks(x):
            add_moments(statistics, part.T)

    def _warn_of_constants(self, op: str) -> None:
        self._warn_of(op, self.constant_, f"no variance to divide by, and become {self._outcome}")
        self._warn_of(op, np.flatnonzero(self._statistics["count"] == 0), "no value, and stay NaN")

    def _warn_of(self, op: str, features: Array, what: str) -> None:
        if len(features):
            listed = named(features, self._shape, getattr(self, "feature_names_in_", None))
            warn(f"{op}: {len(features)} of {self.n_features_in_} features have {what}: {listed}")

    def _scaled(self, x: Array, dtype: np.dtype[Any]) -> Array:
        return self._module().compute(x, dtype)

    def _restored(self, x: Array, dtype: np.dtype[Any]) -> Array:
        return self._module(inverse=True).compute(x, dtype)
