"""Local response norm over x (n, c, …), as (outer, channels, inner).

s[c] = k + alpha / size * sum of x[j]^2 over j from c - size // 2 to c + (size - 1) // 2, and y[c] = x[c] * s[c]^-beta.
All arithmetic is in float64; results are rounded once.
"""

from __future__ import annotations

import numpy as np

from ...checks import Norm
from ._common import Array, energy, pairs, quiet


@quiet
def local_response_norm_forward(g: Norm, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y = x * s^-beta."""
    x3 = x.reshape(g).astype(np.float64)
    unit, t = energy(x3, size, alpha, k)
    return (x3 / unit * t**-beta * unit ** (1 - 2 * beta)).astype(x.dtype).reshape(x.shape)


@quiet
def local_response_norm_backward(g: Norm, dy: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """dx[c] = dy[c] * s[c]^-beta - 2 * beta * alpha / size * x[c] * sum of dy[j] * x[j] * s[j]^(-beta - 1) over the
    windows j that c is in.
    """
    x3 = x.reshape(g).astype(np.float64)
    unit, t = energy(x3, size, alpha, k)
    d = dy.reshape(g) * t**-beta * unit ** (-2 * beta)
    terms, through = d * (x3 / unit) / t, np.zeros_like(x3)
    for c, j in pairs(g.channels, (size - 1) // 2, size // 2):
        through[c] += terms[j] * (x3[c] / unit[j])
    return (d - 2 * beta * alpha / size * through).astype(x.dtype).reshape(x.shape)
