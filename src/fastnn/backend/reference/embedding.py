"""Rows of a table by number: index (...), weight (rows, width)."""

from __future__ import annotations

import numpy as np

from ._common import Array, quiet


def embedding_forward(index: Array, weight: Array) -> Array:
    """y[i] = weight[index[i]]."""
    return np.asarray(weight[index])


@quiet
def embedding_backward(dy: Array, index: Array, rows: int, skip: int) -> Array:
    """y[i] = weight[index[i]], hence dweight[r] = sum of dy[i] over index[i] = r; row ``skip`` gets none."""
    dweight = np.zeros((rows, dy.shape[-1]))  # in float64: a row may have millions of terms
    kept = index != skip
    np.add.at(dweight, index[kept], dy[kept])
    return dweight.astype(dy.dtype)
