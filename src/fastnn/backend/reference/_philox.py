"""Random words that depend on a key and a position alone: Philox4x32-10.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011: block i // 4 of the counter gives four 32-bit words, of
which element i takes word i % 4.
"""

from __future__ import annotations

import numpy as np

from ._common import Array

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
