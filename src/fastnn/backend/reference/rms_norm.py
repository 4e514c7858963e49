"""RMS norm: y = x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + eps), for x as (outer, inner) and weight (inner,).

All arithmetic is in float64; results are rounded once, but rstd, which the backward takes, stays in float64.
"""

from __future__ import annotations

import numpy as np

from ...checks import Norm
from ._common import Array, quiet, unit_for


@quiet
def rms_norm_forward(g: Norm, x: Array, weight: Array | None, eps: float) -> tuple[Array, Array]:
    """y, rstd (outer,)."""
    x2 = x.reshape(g.outer, g.inner).astype(np.float64)
    unit = unit_for(x2, (1,))
    root = np.sqrt(np.square(x2 * unit).mean(1, keepdims=True)) / unit
    rstd = 1 / np.hypot(root, np.sqrt(eps))
    y = x2 * rstd
    if weight is not None:
        y *= weight
    return y.astype(x.dtype).reshape(x.shape), rstd.reshape(-1)


@quiet
def rms_norm_backward(
    g: Norm, dy: Array, x: Array, weight: Array | None, rstd: Array, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None]:
    """y = xhat * weight, xhat = x * rstd, hence with d = dy * weight and the mean over the row
    dx = rstd * (d - xhat * mean(d * xhat)), dweight = sum of dy * xhat.
    """
    r = rstd.astype(np.float64)[:, None]
    xhat, dy2 = x.reshape(g.outer, g.inner) * r, dy.reshape(g.outer, g.inner)
    dx = dweight = None
    if needs[0]:
        d = dy2.astype(np.float64) if weight is None else dy2 * weight.astype(np.float64)
        dx = (r * (d - xhat * (d * xhat).mean(1, keepdims=True))).astype(x.dtype).reshape(x.shape)
    if needs[1]:
        dweight = (dy2 * xhat).sum(0).astype(x.dtype)
    return dx, dweight
