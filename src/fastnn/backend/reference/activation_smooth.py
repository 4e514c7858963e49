"""Smooth activations, y = f(x), and dx = dy * f'(x)."""

from __future__ import annotations

import math

import numpy as np

from ._common import Array, quiet, times_exp
from .activation import sigmoid_forward

# Klambauer et al. 2017: with these, layers keep a mean of 0 and a variance of 1.
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
_GELU_RATE, _CUBIC = 2 * math.sqrt(2 / math.pi), 0.044715

# Inputs are cut at these limits, beyond which the functions don't change: a product of infinity and 0 would be NaN.
_GELU_LIMIT, _GELU_TANH_LIMIT, _SILU_LIMIT = 40, 30, 2000

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _normal_cdf(x: Array) -> Array:
    """Phi(x) = erfc(-x / sqrt(2)) / 2, in float64."""
    return np.asarray(_erfc(x.astype(np.float64) / -math.sqrt(2)) / 2)


@quiet
def selu_forward(x: Array) -> Array:
    """y = scale * (x where x > 0, else alpha * (exp(x) - 1))."""
    return np.where(x > 0, SELU_SCALE * x, SELU_SCALE * SELU_ALPHA * np.expm1(x))


@quiet
def selu_backward(dy: Array, x: Array) -> Array:
    """dx = dy * scale * (1 where x > 0, else alpha * exp(x))."""
    return np.where(x > 0, SELU_SCALE * dy, times_exp(dy, np.minimum(x, 0), SELU_SCALE * SELU_ALPHA))


def _times_sigmoid(a: Array, x: Array, b: Array | float = 1.0) -> Array:
    """a * b / (1 + exp(-x)), as a * b * exp(x) / (1 + exp(x)) where x < 0."""
    low = -np.abs(x)
    return np.asarray(np.where(x < 0, times_exp(a, low, b), a * b) / (1 + np.exp(low)))


@quiet
def softplus_forward(x: Array, beta: float, threshold: float) -> Array:
    """y = log(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold."""
    z = beta * x
    soft = (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta
    tiny = times_exp(np.asarray(1 / beta, x.dtype), np.minimum(z, 0))  # where log(1 + e^z) is e^z
    return np.where(z > threshold, x, np.where(z < -40, tiny, soft))


@quiet
def softplus_backward(dy: Array, x: Array, beta: float, threshold: float) -> Array:
    """dx = dy * sigmoid(beta * x), and dy itself where beta * x > threshold."""
    z = beta * x
    return np.where(z > threshold, dy, _times_sigmoid(dy, z))


@quiet
def gelu_forward(x: Array) -> Array:
    """y = x * Phi(x), Phi the distribution function of the normal distribution."""
    return np.asarray(np.maximum(x, -_GELU_LIMIT) * _normal_cdf(x)).astype(x.dtype)


@quiet
def gelu_backward(dy: Array, x: Array) -> Array:
    """dx = dy * (Phi(x) + x * phi(x)), phi(x) = exp(-x^2 / 2) / sqrt(2 pi)."""
    w = np.clip(x, -_GELU_LIMIT, _GELU_LIMIT).astype(np.float64)
    density = times_exp(w / math.sqrt(2 * math.pi), -w * w / 2)
    return np.asarray(dy * (_normal_cdf(x) + density)).astype(x.dtype)


def _argument(x: Array) -> tuple[Array, Array]:
    """u = 2 sqrt(2/pi) (x + 0.044715 x^3) and its derivative; x is bounded, beyond 30 exp(-|u|) is 0."""
    b = np.clip(x, -_GELU_TANH_LIMIT, _GELU_TANH_LIMIT)
    return _GELU_RATE * (b + _CUBIC * b**3), _GELU_RATE * (1 + 3 * _CUBIC * b**2)


@quiet
def gelu_tanh_forward(x: Array) -> Array:
    """y = x * (1 + tanh(u / 2)) / 2 = x * sigmoid(u)."""
    return _times_sigmoid(np.maximum(x, -_GELU_TANH_LIMIT), _argument(x)[0])


@quiet
def gelu_tanh_backward(dy: Array, x: Array) -> Array:
    """dx = dy * (s + x * s * (1 - s) * u'), s = sigmoid(u), 1 - s = sigmoid(-u)."""
    u, slope = _argument(x)
    return _gated_backward(dy, np.clip(x, -_GELU_TANH_LIMIT, _GELU_TANH_LIMIT), u, slope)


def _gated_backward(dy: Array, x: Array, u: Array, slope: Array | float) -> Array:
    """dy * s * (1 + x * (1 - s) * slope), s = sigmoid(u), 1 - s = sigmoid(-u)."""
    return _times_sigmoid(dy, u, 1 + x * sigmoid_forward(-u) * slope)


@quiet
def silu_forward(x: Array) -> Array:
    """y = x * sigmoid(x)."""
    return _times_sigmoid(np.maximum(x, -_SILU_LIMIT), x)


@quiet
def silu_backward(dy: Array, x: Array) -> Array:
    """dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x), 1 - s = sigmoid(-x)."""
    return _gated_backward(dy, np.clip(x, -_SILU_LIMIT, _SILU_LIMIT), x, 1.0)


@quiet
def hardsigmoid_forward(x: Array) -> Array:
    """y = min(max(x + 3, 0), 6) / 6."""
    return np.asarray(np.clip(x + 3, 0, 6) / 6)


@quiet
def hardsigmoid_backward(dy: Array, x: Array) -> Array:
    """dx = dy / 6 where -3 < x < 3, else 0; NaN where x is NaN."""
    return np.where((x <= -3) | (x >= 3), dy.dtype.type(0), np.where(np.isnan(x), x, dy / 6))
