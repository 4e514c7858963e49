"""Elementwise activations, y = f(x), and dx = dy * f'(x)."""

from __future__ import annotations

import numpy as np

from ._common import Array, quiet, times_exp


def relu_forward(x: Array) -> Array:
    """y = max(x, 0), NaN stays NaN."""
    return np.asarray(np.maximum(x, 0))


def relu_backward(dy: Array, x: Array) -> Array:
    """dx = dy where x > 0 (and where x is NaN), else 0."""
    return np.where(x <= 0, dy.dtype.type(0), dy)


@quiet
def leaky_relu_forward(x: Array, negative_slope: float) -> Array:
    """y = x where x > 0, else negative_slope * x."""
    return np.where(x > 0, x, negative_slope * x)


@quiet
def leaky_relu_backward(dy: Array, x: Array, negative_slope: float) -> Array:
    """dx = dy where x > 0, else negative_slope * dy; NaN where x is NaN."""
    return np.where(x > 0, dy, np.where(x <= 0, negative_slope * dy, x))


@quiet
def elu_forward(x: Array, alpha: float) -> Array:
    """y = x where x > 0, else alpha * (exp(x) - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(x))


@quiet
def elu_backward(dy: Array, x: Array, alpha: float) -> Array:
    """dx = dy where x > 0, else dy * alpha * exp(x)."""
    return np.where(x > 0, dy, times_exp(dy, np.minimum(x, 0), alpha))


@quiet
def sigmoid_forward(x: Array) -> Array:
    """y = 1 / (1 + exp(-x)), as exp(x) / (1 + exp(x)) where x < 0, so that nothing overflows."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


@quiet
def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dx = dy * y * (1 - y)."""
    return np.asarray(dy * (y * (1 - y)))


def tanh_forward(x: Array) -> Array:
    """y = tanh(x)."""
    return np.asarray(np.tanh(x))


@quiet
def tanh_backward(dy: Array, y: Array) -> Array:
    """dx = dy * (1 - y^2)."""
    return np.asarray(dy * (1 - y * y))
