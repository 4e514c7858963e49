"""Activations with thresholds and without exponentials, y = f(x), and dx = dy * f'(x)."""

from __future__ import annotations

import numpy as np

from ._common import Array, quiet


def relu6_forward(x: Array) -> Array:
    """y = min(max(x, 0), 6), NaN stays NaN."""
    return np.asarray(np.clip(x, 0, 6))


def relu6_backward(dy: Array, x: Array) -> Array:
    """dx = dy where 0 < x < 6, else 0; NaN where x is NaN."""
    return np.where((x <= 0) | (x >= 6), dy.dtype.type(0), np.where(np.isnan(x), x, dy))


def thresholded_relu_forward(x: Array, alpha: float) -> Array:
    """y = x where x > alpha, else 0; NaN stays NaN."""
    return np.where(x <= alpha, x.dtype.type(0), x)


def thresholded_relu_backward(dy: Array, x: Array, alpha: float) -> Array:
    """dx = dy where x > alpha, else 0; NaN where x is NaN."""
    return np.where(x <= alpha, dy.dtype.type(0), np.where(np.isnan(x), x, dy))


@quiet
def hardsigmoid_forward(x: Array) -> Array:
    """y = min(max(x + 3, 0), 6) / 6."""
    return np.asarray(np.clip(x + 3, 0, 6) / 6)


@quiet
def hardsigmoid_backward(dy: Array, x: Array) -> Array:
    """dx = dy / 6 where -3 < x < 3, else 0; NaN where x is NaN."""
    return np.where((x <= -3) | (x >= 3), dy.dtype.type(0), np.where(np.isnan(x), x, dy / 6))


@quiet
def hardswish_forward(x: Array) -> Array:
    """y = 0 where x <= -3, x where x >= 3, else x * (x + 3) / 6."""
    return np.where(x <= -3, x.dtype.type(0), np.where(x >= 3, x, x * ((x + 3) / 6)))


@quiet
def hardswish_backward(dy: Array, x: Array) -> Array:
    """dx = 0 where x <= -3, dy where x >= 3, else dy * (2 x + 3) / 6."""
    return np.where(x <= -3, dy.dtype.type(0), np.where(x >= 3, dy, dy * ((2 * x + 3) / 6)))
