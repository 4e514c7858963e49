"""Activations of linear pieces: learned slopes, random slopes, the largest of several."""

from __future__ import annotations

import numpy as np

from ...checks import Norm, Softmax
from ._common import Array, quiet
from ._philox import words


@quiet
def prelu_forward(g: Norm, x: Array, weight: Array) -> Array:
    """y = x where x > 0, else weight[channel] * x; x (outer, channels, inner)."""
    x3: Array = x.reshape(g)
    return np.where(x3 > 0, x3, weight.reshape(-1, 1) * x3).reshape(x.shape)


@quiet
def prelu_backward(g: Norm, dy: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    """dx = dy where x > 0, else weight[channel] * dy, NaN where x is; dweight[channel] = sum of x * dy where not x > 0."""
    dy3, x3 = dy.reshape(g), x.reshape(g)
    dx = np.where(x3 > 0, dy3, np.where(x3 <= 0, weight.reshape(-1, 1) * dy3, x3))
    dweight = np.where(x3 > 0, dy.dtype.type(0), x3 * dy3).sum(axis=(0, 2), dtype=np.float64)
    return dx.reshape(x.shape), dweight.astype(x.dtype).reshape(weight.shape)


def _slopes(x: Array, lower: float, upper: float, key: int) -> Array:
    """lower * (1 - u) + upper * u, u from the upper 24 bits of the element's word."""
    u = (words(x.size, key) >> np.uint64(8)).astype(np.float64) / 2**24
    return np.asarray(lower * (1 - u) + upper * u).astype(x.dtype).reshape(x.shape)


@quiet
def rrelu_forward(x: Array, lower: float, upper: float, key: int) -> Array:
    """y = x where x > 0, else slope * x with a random slope per element."""
    return np.where(x > 0, x, _slopes(x, lower, upper, key) * x)


@quiet
def rrelu_backward(dy: Array, x: Array, lower: float, upper: float, key: int) -> Array:
    """dx = dy where x > 0, else slope * dy with the slope of the forward pass; NaN where x is NaN."""
    return np.where(x > 0, dy, np.where(x <= 0, _slopes(x, lower, upper, key) * dy, x))


def maxout_forward(g: Softmax, x: Array, shape: tuple[int, ...]) -> Array:
    """y (outer, inner) is the largest of x (outer, n, inner) over n, NaN if one is; in another shape."""
    return np.asarray(x.reshape(g).max(axis=1)).reshape(shape)


def maxout_backward(g: Softmax, dy: Array, x: Array) -> Array:
    """dx = dy for the first that is the largest (the first NaN, if there is one), else 0."""
    x3: Array = x.reshape(g)
    first = x3.argmax(axis=1)[:, None, :]
    return np.where(np.arange(g.n)[None, :, None] == first, dy.reshape(g.outer, 1, g.inner), dy.dtype.type(0)).reshape(
        x.shape
    )
