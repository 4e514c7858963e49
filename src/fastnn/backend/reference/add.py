"""Sums of two arrays of one shape."""

from __future__ import annotations

import numpy as np

from ._common import Array, quiet


@quiet
def add(a: Array, b: Array, out: Array | None) -> Array:
    """y = a + b, into ``out`` where it is given (which may be ``a`` or ``b``)."""
    return np.asarray(np.add(a, b, out=out))
