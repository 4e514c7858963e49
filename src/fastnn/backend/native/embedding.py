"""Rows of a table by number."""

from __future__ import annotations

from ... import _core
from ._common import Array

__all__ = ["embedding_backward", "embedding_forward"]


def embedding_forward(index: Array, weight: Array) -> Array:
    rows, width = weight.shape
    y = _core.empty((index.size, width), weight.dtype)
    _core.embedding_forward(index.size, rows, width, index, weight, y)
    return y


def embedding_backward(dy: Array, index: Array, rows: int, skip: int) -> Array:
    dweight = _core.empty((rows, dy.shape[1]), dy.dtype)
    _core.embedding_backward(index.size, rows, dy.shape[1], skip, index, dy, dweight)
    return dweight
