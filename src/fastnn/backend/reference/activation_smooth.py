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
_MISH_FIRST, _MISH_LAST = -2000, 22

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


def _mish_terms(x: Array) -> tuple[Array, Array, Array]:
    """x within the limits, n = exp(x), and q = n (n + 2) + 2."""
    b = np.clip(x, _MISH_FIRST, _MISH_LAST)
    n = np.exp(b)
    return b, n, n * (n + 2) + 2


@quiet
def mish_forward(x: Array) -> Array:
    """y = x * tanh(log(1 + n)) = x * n (n + 2) / q, n = exp(x), q = n (n + 2) + 2."""
    b, n, q = _mish_terms(x)
    return np.where(x < 0, times_exp(b, np.minimum(b, 0), (n + 2) / q), x * (n * (n + 2) / q))


@quiet
def mish_backward(dy: Array, x: Array) -> Array:
    """dx = dy * n * (n + 2 + 4 x (n + 1) / q) / q; dy itself from the limit on, where the slope is 1."""
    b, n, q = _mish_terms(x)
    rest = (n + 2 + 4 * b * ((n + 1) / q)) / q
    return np.where(x >= _MISH_LAST, dy, np.where(x < 0, times_exp(dy, np.minimum(b, 0), rest), dy * (n * rest)))


@quiet
def celu_forward(x: Array, alpha: float) -> Array:
    """y = x where x > 0, else alpha * (exp(z) - 1), z = x / alpha; x itself where z is so small that y rounds to it."""
    z = x / alpha
    return np.where(z > -np.finfo(x.dtype).eps / 4, x, alpha * np.expm1(z))


@quiet
def celu_backward(dy: Array, x: Array, alpha: float) -> Array:
    """dx = dy where x > 0, else dy * exp(x / alpha)."""
    return np.where(x > 0, dy, times_exp(dy, np.minimum(x / alpha, 0)))


@quiet
def logsigmoid_forward(x: Array) -> Array:
    """y = log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|))."""
    return np.asarray(np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))))


@quiet
def logsigmoid_backward(dy: Array, x: Array) -> Array:
    """dx = dy * sigmoid(-x)."""
    return _times_sigmoid(dy, -x)


@quiet
def softsign_forward(x: Array) -> Array:
    """y = x / (1 + |x|), with its limits at infinities."""
    b = np.clip(x, -1e30, 1e30)
    return np.asarray(b / (1 + np.abs(b)))


@quiet
def softsign_backward(dy: Array, x: Array) -> Array:
    """dx = dy / (1 + |x|)^2, whose square alone may overflow."""
    size = 1 + np.abs(x)
    return np.asarray(dy / size / size)
