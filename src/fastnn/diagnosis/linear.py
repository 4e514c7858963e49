"""Linear models as something to compare with: least squares, and logistic regression, with a small penalty."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PENALTY = 1.0
"""On the squares of coefficients of scaled features, beside a sum over samples: scikit-learn's default for Ridge and, up to a
factor of two in how it is written, LogisticRegression."""
_STEPS = 500
_FLAT = 1e-5  # the largest gradient per sample at which a fit has converged
_WORK = 1e10  # at most so many rows times squared columns are fitted; of more rows, evenly spread ones are taken


class Linear:
    """A linear model of features, fitted when it is made.

    Parameters
    ----------
    x : ndarray, shape (n, features)
        NaN stands for a missing value, in whose place the median of its column comes.
    y : ndarray, shape (n, outputs)
        Numbers; or for each class its probability.
    kind : {"numbers", "classes", "yes or no"}
        What the outputs are: numbers, by least squares; logits of classes of which one is right (softmax); logits of yes or no.
    weight : ndarray, shape (n,), optional
        What samples count for.

    Notes
    -----
    Logistic regression takes Newton's steps with an upper bound in the place of the second derivative (Böhning 1992,
    *Multinomial logistic regression algorithm*), one factorisation for all of them, and Nesterov's momentum, begun anew where
    it leads uphill (O'Donoghue and Candès 2015).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnosis.linear import Linear
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> Linear(x, 3 * x + 2, "numbers")(np.array([[0.5]])).round(1)
    array([[3.5]])
    """

    def __init__(self, x: Array, y: Array, kind: str, weight: Array | None = None) -> None:
        x, y, weight = _fewer(np.asarray(x, np.float64), np.asarray(y, np.float64), weight)
        self._fill = _medians(x)
        x = self._filled(x)
        self._mean, self._spread = x.mean(axis=0), x.std(axis=0)
        self._spread[self._spread <= 1e-12 * np.abs(self._mean)] = 1.0
        design = (x - self._mean) / self._spread
        basis = None
        if design.shape[1] > design.shape[0]:  # coefficients lie in the span of the rows: a basis of it has fewer
            _, _, basis = np.linalg.svd(design, full_matrices=False)
            design = design @ basis.T
        design = np.hstack([design, np.ones((len(design), 1))])
        counts = np.ones(len(design)) if weight is None else np.asarray(weight, np.float64)
        fit = _least_squares if kind == "numbers" else _logistic
        found = fit(design, y, counts, *(() if kind == "numbers" else (kind == "classes",)))
        self._slope = found[:-1] if basis is None else basis.T @ found[:-1]
        self._offset = found[-1]

    def __call__(self, x: Array) -> Array:
        """The outputs for features (n, features)."""
        design = (self._filled(np.asarray(x, np.float64)) - self._mean) / self._spread
        outputs: Array = design @ self._slope + self._offset
        return outputs

    def _filled(self, x: Array) -> Array:
        return np.where(np.isfinite(x), x, self._fill)


def _fewer(x: Array, y: Array, weight: Any) -> tuple[Array, Array, Any]:
    rows = max(int(_WORK / max(x.shape[1], 1) ** 2), 1)
    step = slice(None, None, -(-len(x) // rows))
    return x[step], y[step], None if weight is None else weight[step]


def _medians(x: Array) -> Array:
    known = np.where(np.isfinite(x), x, np.nan)
    some = np.isfinite(x).any(axis=0)
    medians = np.zeros(x.shape[1])
    medians[some] = np.nanmedian(known[:, some], axis=0)
    return medians


def _penalty(columns: int) -> Array:
    """Of each coefficient; the last one is the offset, which has none to speak of."""
    penalty = np.full(columns, PENALTY)
    penalty[-1] = 1e-9
    return penalty


def _least_squares(design: Array, y: Array, counts: Array) -> Array:
    weighted = design * counts[:, None]
    found: NDArray[Any] = np.linalg.solve(design.T @ weighted + np.diag(_penalty(design.shape[1])), weighted.T @ y)
    return found


def _logistic(design: Array, y: Array, counts: Array, one_is_right: bool) -> Array:
    penalty = _penalty(design.shape[1])
    bound = 0.5 if one_is_right else 0.25  # an upper bound of the second derivative, with softmax or sigmoid
    inverse = np.linalg.inv(bound * design.T @ (design * counts[:, None]) + np.diag(penalty))
    probabilities: Callable[[Array], Array] = _softmax if one_is_right else _sigmoid

    def gradient(w: Array) -> Array:
        errors = counts[:, None] * (probabilities(design @ w) - y)
        slope: Array = design.T @ errors + penalty[:, None] * w
        return slope

    w = ahead = np.zeros((design.shape[1], y.shape[1]))
    momentum = 1.0
    for _ in range(_STEPS):
        slope = gradient(ahead)
        if np.abs(slope).max(initial=0) <= _FLAT * max(counts.sum(), 1.0):
            return ahead
        new = ahead - inverse @ slope
        if (slope * (new - w)).sum() > 0:  # the step leads uphill: the momentum begins anew
            momentum = 1.0
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - w)
        w, momentum = new, following
    return w


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    shares: Array = e / e.sum(axis=1, keepdims=True)
    return shares


def _sigmoid(z: Array) -> Array:
    halves: Array = 0.5 * (1 + np.tanh(0.5 * z))
    return halves
