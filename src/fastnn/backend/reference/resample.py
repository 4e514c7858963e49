"""Resampling: outputs are sums of a few inputs of their axis, which tables name (`fastnn.checks.taps`).

The gradient is the same function with the tables of the gradient.
"""

from __future__ import annotations

import numpy as np

from ...checks import Resample
from ._common import Array, quiet


@quiet
def resample(g: Resample, x: Array) -> Array:
    """y[o] = sum over k of weights[k, o] x[inputs[k, o]] along each axis; where no input contributes, y is ``fill``."""
    y = x.reshape(g.n, g.c, *g.size).astype(np.float64)
    for axis, taps in enumerate(g.axes, 2):
        source, y = y, np.zeros((*y.shape[:axis], taps.out, *y.shape[axis + 1 :]))
        for inputs, weights in zip(taps.inputs, taps.weights.astype(np.float64), strict=True):
            y += source.take(inputs, axis) * weights.reshape(-1, *(1,) * (4 - axis))
    for axis, taps in enumerate(g.axes, 2):
        y.swapaxes(0, axis)[taps.empty] = g.fill
    return y.astype(x.dtype).reshape(g.n, g.c, *g.out[5 - x.ndim :])
