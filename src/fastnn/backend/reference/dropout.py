"""Dropout with a counter-based generator: element i is kept or not whatever the order or number of threads."""

from __future__ import annotations

import numpy as np

from ._common import Array, quiet
from ._philox import words


def _kept(n: int, p: float, key: int) -> Array:
    threshold = np.uint64(min(int(p * 2**32), 2**32 - 1))
    return np.asarray(words(n, key) >= threshold)


@quiet
def dropout_forward(x: Array, p: float, key: int) -> Array:
    """y = x / (1 - p) where the word of the element is at least floor(p * 2^32), else 0; the same for dx from dy."""
    if p == 1:
        return np.zeros_like(x)
    keep = _kept(x.size, p, key).reshape(x.shape)
    y: Array = np.where(keep, x * x.dtype.type(1 / (1 - p)), x.dtype.type(0))
    return y


@quiet
def spatial_dropout_forward(x: Array, planes: int, p: float, key: int) -> Array:
    """The same for whole planes: x (planes, inner), and the word of the plane decides."""
    if p == 1 or x.size == 0:
        return np.zeros_like(x)
    keep = _kept(planes, p, key).reshape(planes, 1)
    y: Array = np.where(keep, x.reshape(planes, -1) * x.dtype.type(1 / (1 - p)), x.dtype.type(0))
    return y.reshape(x.shape)
