"""A network that predicts numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from .estimator import NetworkEstimator, trains_in_parts
from .samples import Array, Samples, checked_weight


class Regressor(RegressorMixin, NetworkEstimator):
    """A regressor."""

    _one: bool  # whether targets have one axis

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a network, or with ``warm_start`` the one that is there.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : array_like, (N,) or (N, targets)
            Numbers.
        sample_weight : array_like, (N,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        Regressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If the data or a setting does not fit.
        """
        goes_on = self._goes_on()
        samples, learned = self._samples(X, y, sample_weight, known=goes_on)
        self._fit_network(samples, samples.targets.shape[1], anew=not goes_on, learned=learned)
        return self

    @available_if(trains_in_parts)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these samples.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.
        y : array_like, (N,) or (N, targets)
            Numbers.
        sample_weight : array_like, (N,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        Regressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If the data or a setting does not fit.
        """
        samples, learned = self._samples(X, y, sample_weight, known=self.__sklearn_is_fitted__())
        self._fit_pass(samples, samples.targets.shape[1], learned=learned)
        return self

    def _samples(self, X: Any, y: Any, sample_weight: Any, *, known: bool) -> tuple[Samples, dict[str, Any]]:
        X, y = self._checked(X, y=y, known=known, multi_output=True, y_numeric=True)
        if hasattr(y, "toarray"):
            y = y.toarray()
        one, targets = y.ndim == 1, y.reshape(len(y), -1).astype(X.dtype)
        if known and (one != self._one or targets.shape[1] != self.n_outputs_):
            expected = "(samples,)" if self._one else f"(samples, {self.n_outputs_})"
            raise ValueError(f"Regressor: y must have shape {expected}, as in the first call of fit, got {y.shape}")
        weight = checked_weight("Regressor", sample_weight, X)
        return Samples(X, targets, weight), {"_one": one, "n_outputs_": targets.shape[1]}

    def predict(self, X: Any) -> Array:
        """The numbers that the network gives.

        Parameters
        ----------
        X : array_like, (N, features) or (N, ...)
            Samples.

        Returns
        -------
        ndarray, (N,) or (N, targets)
            Of the dtype that X had in `fit`.

        Raises
        ------
        ValueError
            If the estimator is not fitted, or X does not fit.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self._one else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
