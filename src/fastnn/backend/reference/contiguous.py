"""Copies of strided arrays."""

from __future__ import annotations

import numpy as np

from ._common import Array


def contiguous(a: Array) -> Array:
    """A C-contiguous copy of an array of any strides."""
    return np.array(a, order="C", subok=False)
