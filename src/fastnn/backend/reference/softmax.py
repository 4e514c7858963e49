"""Softmax over the middle axis of x (outer, n, inner). Shifting by the maximum keeps exp in range.

A row that holds +inf or only -inf is NaN, as it is with NumPy: its maximum cannot be subtracted.
"""

from __future__ import annotations

import numpy as np

from ...checks import Softmax
from ._common import Array, quiet, row_sums


def _shifted(g: Softmax, x: Array) -> Array:
    """x - max over the row."""
    x3: Array = x.reshape(g)
    return np.asarray(x3 - x3.max(axis=1, keepdims=True, initial=-np.inf))


@quiet
def softmax_forward(g: Softmax, x: Array) -> Array:
    """y = exp(x - max) / sum of exp(x - max)."""
    e = np.exp(_shifted(g, x))
    y: Array = e / row_sums(e)
    return y.reshape(x.shape)


@quiet
def softmax_backward(g: Softmax, dy: Array, y: Array) -> Array:
    """dy_i/dx_j = y_i * ((i == j) - y_j), hence dx = y * (dy - sum of dy * y)."""
    dy3, y3 = dy.reshape(g), y.reshape(g)
    dx: Array = y3 * (dy3 - row_sums(dy3 * y3))
    return dx.reshape(y.shape)


@quiet
def log_softmax_forward(g: Softmax, x: Array) -> Array:
    """y = x - max - log(sum of exp(x - max))."""
    shifted = _shifted(g, x)
    y: Array = shifted - np.log(row_sums(np.exp(shifted)))
    return y.reshape(x.shape)


@quiet
def log_softmax_backward(g: Softmax, dy: Array, y: Array) -> Array:
    """dy_i/dx_j = (i == j) - exp(y_j), hence dx = dy - exp(y) * sum of dy."""
    dy3, y3 = dy.reshape(g), y.reshape(g)
    dx: Array = dy3 - np.exp(y3) * row_sums(dy3)
    return dx.reshape(y.shape)
