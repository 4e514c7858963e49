"""What the reference kernels share: quiet floating point, long sums, scores of classes and the taps of a window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...checks import Conv, Pool, Softmax

Array = np.ndarray[Any, Any]
# An index of the three last axes: (..., slice, slice, slice).
Index = Any
Axes = tuple[int, ...]
Pair = tuple[tuple[slice, slice], tuple[slice, slice]]

# Overflow, inf - inf and 0 / 0 are legal and give inf and NaN, as in the compiled kernels.
quiet = np.errstate(all="ignore")


def times_exp(a: Array, x: Array, b: Array | float = 1.0) -> Array:
    """a * b * exp(x) for x <= 0; exp in two factors, since the result may be a normal number where exp(x) is none."""
    half = np.exp(x / 2)
    return np.asarray(a * half * (b * half))


# A sum of more than LONG_SUM terms is cut into runs of SUM_RUN terms, whose sums are added in double: of a chain of 10^7
# additions in float32 only three digits are right.
LONG_SUM, SUM_RUN = 16 * 1024, 1024


def product(a: Array, b: Array) -> Array:
    """a @ b."""
    depth = a.shape[-1]
    if depth <= LONG_SUM:
        return np.asarray(a @ b)
    total: Any = 0.0
    for k in range(0, depth, SUM_RUN):
        piece = slice(k, k + SUM_RUN)
        total = total + (a[..., piece] @ b[..., piece, :]).astype(np.float64)
    return np.asarray(total, a.dtype)


def shares(dloss: Array, divisor: float | None) -> Array:
    """dloss / divisor, in the type of dloss; dloss itself where the losses were not summed, so that there is no divisor."""
    return dloss if divisor is None else np.asarray(dloss / np.float64(divisor), dloss.dtype)


def reduced(loss: Array, divisor: float | None) -> Array:
    """Each loss, or where there is a divisor their sum by it, a NumPy scalar, also where the sum alone overflows."""
    if divisor is None:
        return np.asarray(loss)
    scale, total = 1.0, loss.sum(dtype=np.float64)
    if not np.isfinite(total):
        scale = 2.0**-80
        total = (loss * np.float64(scale)).sum()
    return loss.dtype.type(total / np.float64(divisor) / scale)  # type: ignore[no-any-return]


def weighted(w: Array, v: Array) -> Array:
    """w * v, but 0 where w is 0 and v infinite: what has no weight costs nothing, and 0 * log(0) is 0. NaN stays NaN."""
    y: Array = w * v
    return np.where((w == 0) & np.isinf(v), y.dtype.type(0), y)


def per_position(loss: Array, scores: Array) -> Array:
    """Losses of scores (n, classes, ...), one per position, in the shape without the classes."""
    return loss.reshape(scores.shape[:1] + scores.shape[2:])


def row_sums(a: Array) -> Array:
    """Sums over the middle axis of three, which is kept; in double, since rows may be long."""
    return np.asarray(a.sum(axis=1, keepdims=True, dtype=np.float64), a.dtype)


def without_overflow(means: Callable[[Array], Array], x: Array) -> Array:
    """``means(x)``, linear in x, in its type; sums on the way may be too large where the means are not."""
    y = means(x)
    if not np.isfinite(y).all():
        y = np.where(np.isfinite(y), y, means(x * x.dtype.type(2.0**-64)) * 2.0**64)
    return y.astype(x.dtype)


def unit_for(x: Array, axes: Axes) -> Array:
    """A power of two that brings the largest |x| over the axes to about 1; of what isn't finite, 1."""
    largest = np.abs(x).max(axes, keepdims=True)
    exponent = np.frexp(np.where(np.isfinite(largest), largest, 1))[1]
    return np.asarray(np.ldexp(1.0, -np.clip(exponent, -1021, 1021)))


def targets_of(g: Softmax, target: Array, ignore_index: int) -> tuple[Array, Array]:
    """Class indices (outer, 1, inner), 0 where ignored, and where they count."""
    t = target.reshape(g.outer, 1, g.inner)
    counts = t != ignore_index
    return np.where(counts, t, 0), counts


def class_weights(g: Softmax, weight: Array | None, like: Array) -> Array:
    w = np.ones(g.n, like.dtype) if weight is None else weight
    return w[None, :, None]


def each_share(g: Softmax, dloss: Array, divisor: float | None) -> Array:
    """dloss / divisor of every position, (outer, 1, inner); dloss has one number per position, or one for all."""
    return np.broadcast_to(shares(dloss, divisor).reshape(-1), g.outer * g.inner).reshape(g.outer, 1, g.inner)


def pairs(channels: int, below: int, above: int) -> Iterator[Pair]:
    """Indices of channels c, and of those that lie a step away, for all steps from -below to above."""
    everything = slice(None)
    for step in range(-min(below, channels - 1), min(above, channels - 1) + 1):
        here = slice(max(0, -step), channels - max(0, step))
        there = slice(max(0, step), channels - max(0, -step))
        yield (everything, here), (everything, there)


def energy(x: Array, size: int, alpha: float, k: float) -> tuple[Array, Array]:
    """Of local response norm: powers of two ``unit``, and t of about 1, with s = unit^2 * t, for x (outer, channels, inner)."""
    windows = list(pairs(x.shape[1], size // 2, (size - 1) // 2))
    largest = np.full_like(x, np.sqrt(k))
    for c, j in windows:
        largest[c] = np.maximum(largest[c], np.abs(x[j]))
    unit = np.ldexp(1.0, np.frexp(np.where(np.isfinite(largest) & (largest > 0), largest, 1))[1] - 1)
    squares = np.zeros_like(x)
    for c, j in windows:
        squares[c] += np.square(x[j] / unit[c])
    return unit, k / unit / unit + alpha / size * squares


def windows(g: Conv | Pool) -> Iterator[tuple[int, Index, Index]]:
    """For each tap of the window: its number, the outputs for which it lies inside the image, the inputs it meets.

    Tap number ``(kd * KH + kh) * KW + kw`` of output ``o`` meets input ``o * stride - pad + k * dilation``. Both
    indices of a tap select arrays of one shape, and no input occurs twice.
    """
    taps = [
        [(k, *_inside(k, *axis)) for k in _meeting(*axis)]
        for axis in zip(g.size, g.out, g.kernel, g.stride, g.pad, g.dilation, strict=True)
    ]
    for (kd, od, id_), (kh, oh, ih), (kw, ow, iw) in itertools.product(*taps):
        yield (kd * g.kernel[1] + kh) * g.kernel[2] + kw, (..., od, oh, ow), (..., id_, ih, iw)


def _meeting(size: int, out: int, kernel: int, stride: int, pad: int, dilation: int) -> list[int]:
    """Taps that lie inside the image for some output; a kernel may be far larger than the image."""
    taps: set[int] = set()
    for o in range(out):
        start = o * stride - pad
        taps.update(range(max(0, -(start // dilation)), min(kernel, -((start - size) // dilation))))
        if len(taps) == kernel:
            break
    return sorted(taps)


def _inside(k: int, size: int, out: int, kernel: int, stride: int, pad: int, dilation: int) -> tuple[slice, slice]:
    """Outputs o for which tap k is inside, 0 <= o * stride - pad + k * dilation < size, and those inputs."""
    offset = k * dilation - pad
    first = max(0, -(offset // stride))
    last = min(out, -((offset - size) // stride))
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)
