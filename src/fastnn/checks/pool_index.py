"""Where the maximum of a window was: as a tap of the window (kernels) or as a position in the image (callers)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, Shape, integer_array
from .geometry import AdaptivePool, Pool, Triple


def _first_taps(g: Pool) -> list[Array]:
    """Per axis, the coordinate that tap 0 of each output meets, shaped to broadcast over (n, c, *out)."""
    return [
        (np.arange(out, dtype=np.int64) * stride - pad).reshape(-1, *(1,) * (2 - axis))
        for axis, (out, stride, pad) in enumerate(zip(g.out, g.stride, g.pad, strict=True))
    ]


def _coordinates(flat: Array, extents: Triple) -> list[Array]:
    """The depth, height and width of flat positions in a box, as int64 in their shape.

    `numpy.unravel_index` is wrong for some shapes of more than 8192 positions (numpy issue 31980).
    """
    _, height, width = extents
    flat = flat.astype(np.int64)
    rows = flat // width  # by a scalar: twice as fast as divmod
    slices = rows // height
    return [slices, rows - slices * height, flat - rows * width]


def positions(g: Pool, taps: Array) -> Array:
    """Flat positions in the image, int64, from taps."""
    coordinates = _coordinates(taps.reshape(g.n, g.c, *g.out), g.kernel)
    flat: Array = np.zeros((), np.int64)
    for first, tap, dilation, size in zip(_first_taps(g), coordinates, g.dilation, g.size, strict=True):
        flat = flat * size + (first + tap * dilation)
    return flat.reshape(taps.shape)


def _integers(op: str, indices: Any, shape: Shape) -> Array:
    given = integer_array(op, "indices", indices)
    if given.shape != shape:
        raise ValueError(f"{op}: indices must have shape {shape}, got {given.shape}")
    return given


def taps(op: str, g: Pool, shape: Shape, indices: Any) -> Array:
    """Taps from flat positions, each of which must lie in the window that it is said to be the maximum of."""
    given = _integers(op, indices, shape)
    positions = math.prod(g.size)
    legal = (given >= 0) & (given < positions)
    if legal.all():
        coordinates = _coordinates(given.reshape(g.n, g.c, *g.out), g.size)
        tap = np.zeros((), np.int64)
        legal = np.ones((), bool)
        for first, at, dilation, kernel in zip(_first_taps(g), coordinates, g.dilation, g.kernel, strict=True):
            steps, rest = np.divmod(at - first, dilation)
            legal = legal & (rest == 0) & (steps >= 0) & (steps < kernel)
            tap = tap * kernel + steps
        if legal.all():
            return tap.reshape(shape).astype(np.uint8 if np.prod(g.kernel) <= 256 else np.int32)
    raise ValueError(
        f"{op}: indices of shape {shape} hold positions outside their windows in an image of size {g.size}"
    )


def adaptive_indices(op: str, g: AdaptivePool, shape: Shape, indices: Any) -> Array:
    """Flat positions in the image as int32, each of which must lie in the window that it is said to be from."""
    given = _integers(op, indices, shape)
    legal = (given >= 0) & (given < math.prod(g.size))
    if legal.all():
        coordinates = _coordinates(given.reshape(g.n, g.c, *g.out), g.size)
        legal = np.ones((), bool)
        for axis, (at, size, out) in enumerate(zip(coordinates, g.size, g.out, strict=True)):
            i = np.arange(out, dtype=np.int64).reshape(-1, *(1,) * (2 - axis))
            legal = legal & (at >= i * size // out) & (at < -(-(i + 1) * size // out))
        if legal.all():
            return np.require(given, np.int32, ("C", "A"))
    raise ValueError(
        f"{op}: indices of shape {shape} hold positions outside their windows in an image of size {g.size}"
    )
