"""Adaptive pooling: output i of an axis covers inputs floor(i * size / out) to ceil((i + 1) * size / out).

The windows are boxes, so that sums, maxima and gradients go one axis after the other, the last axis first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...checks import AdaptivePool, within_adaptive
from ._common import Array, quiet, without_overflow

_SPATIAL = (4, 3, 2)


def _bins(size: int, out: int) -> Iterator[tuple[int, int]]:
    for i in range(out):
        yield i * size // out, -(-(i + 1) * size // out)


def _along(axis: int, at: int | slice) -> tuple[slice | int, ...]:
    return (*(slice(None),) * axis, at)


@quiet
def adaptive_avg_pool_forward(g: AdaptivePool, x: Array) -> Array:
    """y[o] = mean of window o = mean over d of the mean over h of the mean over w."""

    def means(x: Array) -> Array:
        y = x.reshape(g.n, g.c, *g.size)
        for axis in _SPATIAL:
            bins = _bins(g.size[axis - 2], g.out[axis - 2])
            y = np.stack([y[_along(axis, slice(*b))].mean(axis, dtype=np.float64) for b in bins], axis)
        return y

    return without_overflow(means, x).reshape(g.n, g.c, *g.out[5 - x.ndim :])


@quiet
def adaptive_avg_pool_backward(g: AdaptivePool, dy: Array) -> Array:
    """y[o] = mean of window o, hence dx += dy[o] / size of the window for each of its elements."""
    dx = dy.reshape(g.n, g.c, *g.out)
    for axis in _SPATIAL:
        size, out = g.size[axis - 2], g.out[axis - 2]
        share, dx = dx, np.zeros((*dx.shape[:axis], size, *dx.shape[axis + 1 :]))
        for i, (low, high) in enumerate(_bins(size, out)):
            dx[_along(axis, slice(low, high))] += share[_along(axis, slice(i, i + 1))] / (high - low)
    return dx.astype(dy.dtype).reshape(g.n, g.c, *g.size[5 - dy.ndim :])


def adaptive_max_pool_forward(g: AdaptivePool, x: Array) -> tuple[Array, Array]:
    """y[o] = max of window o, and its flat position in the image: the first of equals, the first NaN before all.

    np.argmax has the same rule, and the first of the best rows holds the first of the best elements.
    """
    y = x.reshape(g.n, g.c, *g.size)
    index = np.broadcast_to(np.arange(np.prod(g.size)).reshape(g.size), y.shape)
    for axis in _SPATIAL:
        values, positions = [], []
        for b in _bins(g.size[axis - 2], g.out[axis - 2]):
            window, where = y[_along(axis, slice(*b))], index[_along(axis, slice(*b))]
            best = np.expand_dims(window.argmax(axis), axis)
            values.append(np.take_along_axis(window, best, axis))
            positions.append(np.take_along_axis(where, best, axis))
        y, index = np.concatenate(values, axis), np.concatenate(positions, axis)
    shape = (g.n, g.c, *g.out[5 - x.ndim :])
    return y.reshape(shape), index.astype(np.int32).reshape(shape)


def adaptive_max_pool_indices(g: AdaptivePool, x: Array) -> tuple[Array, Array, Array]:
    """y, the positions that gave it as int64, for the caller, and as the backward takes them."""
    y, index = adaptive_max_pool_forward(g, x)
    return y, index.astype(np.int64), index


@quiet
def adaptive_max_pool_backward(g: AdaptivePool, dy: Array, index: Array) -> Array:
    """y[o] = x[index[o]], hence dx[index[o]] += dy[o]; windows overlap, so that one x may be met twice."""
    dx = np.zeros((g.n * g.c, math.prod(g.size)), dy.dtype)
    plane = np.arange(g.n * g.c)[:, None]
    np.add.at(dx, (plane, index.reshape(g.n * g.c, math.prod(g.out))), dy.reshape(g.n * g.c, math.prod(g.out)))
    return dx.reshape(g.n, g.c, *g.size[5 - dy.ndim :])


def adaptive_max_pool_backward_at(g: AdaptivePool, dy: Array, positions: Array) -> Any:
    """The same from flat positions that a caller gives; NotImplemented if one is outside its window."""
    legal = within_adaptive(g, positions).all()
    return adaptive_max_pool_backward(g, dy, positions) if legal else NotImplemented
