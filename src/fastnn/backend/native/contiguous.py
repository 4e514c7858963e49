"""Copies of strided arrays."""

from __future__ import annotations

import numpy as np

from ... import _core
from ._common import Array

__all__ = ["contiguous"]


def contiguous(a: Array) -> Array:
    try:
        return _core.contiguous(a)
    except (TypeError, ValueError):  # not of floats, misaligned, or of another byte order
        return np.array(a, order="C", subok=False)
