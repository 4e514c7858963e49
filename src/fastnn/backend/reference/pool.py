"""Pooling over windows: x (n, c, *size) -> y (n, c, *out). Padding is never an element of a window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...checks import Pool, pool_positions, pool_taps
from ._common import Array, quiet, windows, without_overflow


def _image(g: Pool, x: Array) -> Array:
    return x.reshape(g.n, g.c, *g.size)


def _shape(g: Pool, like: Array) -> tuple[int, ...]:
    return (g.n, g.c, *g.out[5 - like.ndim :])


def max_pool_forward(g: Pool, x: Array, with_index: bool) -> tuple[Array, Array | None]:
    """y[o] = max of the window, and the tap that gave it: the first of equals, the first NaN before all."""
    x5 = _image(g, x)
    y = np.empty((g.n, g.c, *g.out), x.dtype)
    index = np.full(y.shape, -1, np.int64)
    for tap, outputs, inputs in windows(g):
        v, best, tap_of_best = x5[inputs], y[outputs], index[outputs]
        wins = (tap_of_best < 0) | (v > best) | (np.isnan(v) & ~np.isnan(best))
        y[outputs] = np.where(wins, v, best)
        index[outputs] = np.where(wins, tap, tap_of_best)
    y = y.reshape(_shape(g, x))
    if not with_index:
        return y, None
    dtype = np.uint8 if math.prod(g.kernel) <= 256 else np.int32
    return y, index.astype(dtype).reshape(y.shape)


def max_pool_indices(g: Pool, x: Array) -> tuple[Array, Array, Array]:
    """y, the flat positions in the image that gave it, int64, and the taps there."""
    y, index = max_pool_forward(g, x, True)
    assert index is not None
    return y, pool_positions(g, index), index


@quiet
def max_pool_backward(g: Pool, dy: Array, index: Array) -> Array:
    """y[o] = x at tap index[o], hence dx there += dy[o]."""
    dy5, index5 = dy.reshape(g.n, g.c, *g.out), index.reshape(g.n, g.c, *g.out)
    dx = np.zeros((g.n, g.c, *g.size), dy.dtype)
    for tap, outputs, inputs in windows(g):
        dx[inputs] += np.where(index5[outputs] == tap, dy5[outputs], 0)
    return dx.reshape(g.n, g.c, *g.size[5 - dy.ndim :])


def max_pool_backward_at(g: Pool, dy: Array, positions: Array) -> Any:
    """The same from flat positions that a caller gives; NotImplemented if one is outside its window."""
    taps, legal = pool_taps(g, positions)
    return max_pool_backward(g, dy, taps) if legal.all() else NotImplemented


def _window_sizes(g: Pool, count_include_pad: bool) -> Array:
    """Elements of each window, (*out): clipped to the image, or to the image with its padding."""
    sizes = np.ones(())
    for size, out, kernel, stride, pad, dilation, pad_end in zip(
        g.size, g.out, g.kernel, g.stride, g.pad, g.dilation, g.pad_end, strict=True
    ):
        low, high = (-pad, size + pad_end) if count_include_pad else (0, size)
        start = np.arange(out) * stride - pad
        # How many taps lie before each end: k with start + k * dilation < end.
        before_low, before_high = (np.clip(-((start - end) // dilation), 0, kernel) for end in (low, high))
        sizes = np.multiply.outer(sizes, before_high - before_low)
    return sizes


@quiet
def avg_pool_forward(g: Pool, x: Array, count_include_pad: bool, divisor_override: int | None = None) -> Array:
    """y[o] = sum of the window / its number of elements, or a divisor that is given."""
    divisor = _window_sizes(g, count_include_pad) if divisor_override is None else np.float64(divisor_override)

    def means(x: Array) -> Array:
        x5 = _image(g, x)
        total = np.zeros((g.n, g.c, *g.out))
        for _, outputs, inputs in windows(g):
            total[outputs] += x5[inputs]
        return np.asarray(total / divisor)

    return without_overflow(means, x).reshape(_shape(g, x))


@quiet
def avg_pool_backward(g: Pool, dy: Array, count_include_pad: bool, divisor_override: int | None = None) -> Array:
    """y[o] = sum of x / size of the window, hence dx += dy / size for each of its elements."""
    divisor = _window_sizes(g, count_include_pad) if divisor_override is None else np.float64(divisor_override)
    share = dy.reshape(g.n, g.c, *g.out) / divisor
    dx = np.zeros((g.n, g.c, *g.size))
    for _, outputs, inputs in windows(g):
        dx[inputs] += share[outputs]
    return dx.astype(dy.dtype).reshape(g.n, g.c, *g.size[5 - dy.ndim :])


def _window_max(g: Pool, x: Array) -> Array:
    """max |x| of each window, and 1 where that is 0 or infinite: with it, |x|^p neither overflows nor vanishes."""
    scale = np.zeros((g.n, g.c, *g.out), x.dtype)
    for _, outputs, inputs in windows(g):
        scale[outputs] = np.maximum(scale[outputs], np.abs(x[inputs]))
    return np.where((scale > 0) & np.isfinite(scale), scale, x.dtype.type(1))


@quiet
def lp_pool_forward(g: Pool, x: Array, p: float) -> Array:
    """y[o] = (sum of |x|^p)^(1/p) = s * (sum of |x / s|^p)^(1/p) with s = max |x|."""
    x5 = _image(g, x)
    scale = _window_max(g, x5)
    total = np.zeros(scale.shape)
    for _, outputs, inputs in windows(g):
        total[outputs] += np.abs(x5[inputs] / scale[outputs]) ** p
    half = total ** (0.5 / p)  # the whole root may overflow where its product with s does not
    return (scale * half * half).astype(x.dtype).reshape(_shape(g, x))


@quiet
def lp_pool_backward(g: Pool, dy: Array, x: Array, y: Array, p: float) -> Array:
    """y = (sum of |x|^p)^(1/p), hence dx += dy * sign(x) * (|x| / y)^(p - 1), and 0 where y or x is 0."""
    x5 = _image(g, x)
    dy5, y5 = dy.reshape(g.n, g.c, *g.out), y.reshape(g.n, g.c, *g.out)
    dx = np.zeros(x5.shape)
    for _, outputs, inputs in windows(g):
        v = x5[inputs]
        share = dy5[outputs] * np.sign(v) * (np.abs(v) / y5[outputs]) ** (p - 1)
        dx[inputs] += np.where((y5[outputs] == 0) | (v == 0), 0, share)
    return dx.astype(x.dtype).reshape(x.shape)
