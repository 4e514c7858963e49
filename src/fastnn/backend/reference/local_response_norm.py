"""Local response norm over x (n, c, …), as (outer, channels, inner).

s[c] = k + alpha / size * sum of x[j]^2 over j from c - size // 2 to c + (size - 1) // 2, and y[c] = x[c] * s[c]^-beta.
All arithmetic is in float64; results are rounded once.
"""

from __future__ import annotations

import numpy as np

from ...checks import Norm
from ._common import Array, quiet

__all__ = ["local_response_norm_backward", "local_response_norm_forward"]


def window_sum(v: Array, below: int, above: int) -> Array:
    """Sum over the channels c - below to c + above that there are."""
    channels = v.shape[1]
    total = np.zeros_like(v)
    for step in range(-min(below, channels - 1), min(above, channels - 1) + 1):
        total[:, max(0, -step) : channels - max(0, step)] += v[:, max(0, step) : channels - max(0, -step)]
    return total


def energy(x: Array, size: int, alpha: float, k: float) -> Array:
    """s, for x (outer, channels, inner)."""
    return k + alpha / size * window_sum(np.square(x), size // 2, (size - 1) // 2)


@quiet
def local_response_norm_forward(g: Norm, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y = x * s^-beta."""
    x3 = x.reshape(g).astype(np.float64)
    return (x3 * energy(x3, size, alpha, k) ** -beta).astype(x.dtype).reshape(x.shape)


@quiet
def local_response_norm_backward(g: Norm, dy: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """dx[c] = dy[c] * s[c]^-beta - 2 * beta * alpha / size * x[c] * sum of dy[j] * x[j] * s[j]^(-beta - 1) over the
    windows j that c is in.
    """
    x3 = x.reshape(g).astype(np.float64)
    s = energy(x3, size, alpha, k)
    d = dy.reshape(g) * s**-beta
    terms = window_sum(d * x3 / s, (size - 1) // 2, size // 2)
    return (d - 2 * beta * alpha / size * x3 * terms).astype(x.dtype).reshape(x.shape)
