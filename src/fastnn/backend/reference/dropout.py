"""Dropout with a counter-based generator: element i is kept or not whatever the order or number of threads.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): block i // 4 of the counter
gives four 32-bit words, of which element i takes word i % 4.
"""

from __future__ import annotations

import numpy as np

from ._common import Array, quiet

__all__ = ["dropout_forward", "spatial_dropout_forward"]

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF
_SHIFT, _LOW = np.uint64(32), np.uint64(_MASK)


def _philox(blocks: Array, key: int) -> Array:
    """Ten rounds on the counters (block low, block high, 0, 0): 32-bit words (len(blocks), 4), held in uint64."""
    c0, c1 = blocks & _LOW, blocks >> _SHIFT
    c2, c3 = np.zeros_like(blocks), np.zeros_like(blocks)
    k0, k1 = key & _MASK, key >> 32
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return np.stack([c0, c1, c2, c3], axis=1)


def words(n: int, key: int) -> Array:
    """The first n words of the stream of a key."""
    blocks = np.arange((n + 3) // 4, dtype=np.uint64)
    return np.asarray(_philox(blocks, key).reshape(-1)[:n])


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
