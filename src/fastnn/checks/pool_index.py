"""Where the maximum of a window was: as a tap of the window (kernels) or as a position in the image (callers)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import INT64, Array, Shape, integer_array
from .geometry import AdaptivePool, Pool, Triple
from .scalars import LARGEST


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
    rows = flat // width  # to divide by a scalar is twice as fast as divmod
    slices = rows // height
    return [slices, rows - slices * height, flat - rows * width]


def positions(g: Pool, taps: Array) -> Array:
    """Flat positions in the image, int64, from taps."""
    coordinates = _coordinates(taps.reshape(g.n, g.c, *g.out), g.kernel)
    flat: Array = np.zeros((), np.int64)
    for first, tap, dilation, size in zip(_first_taps(g), coordinates, g.dilation, g.size, strict=True):
        flat = flat * size + (first + tap * dilation)
    return flat.reshape(taps.shape)


def pool_indices(op: str, shape: Shape, indices: Any) -> Array:
    """Flat positions as plain int64; kernels look whether each lies in its window, and `outside_window` says which does not."""
    given = integer_array(op, "indices", indices)
    if given.shape != shape:
        raise ValueError(f"{op}: indices must have shape {shape}, got {given.shape}")
    if given.dtype is INT64 and given.flags.c_contiguous and given.flags.aligned:
        return given
    if given.dtype.kind == "u" and given.size and given.max() > LARGEST:
        raise ValueError(f"{op}: indices of shape {given.shape} hold {given.max()}, which is no position in any image")
    return np.require(given, INT64, ("C", "A"))


def taps(g: Pool, positions: Array) -> tuple[Array, Array]:
    """Taps from flat positions, and whether each of these lies in the window that it is said to be the maximum of."""
    legal = (positions >= 0) & (positions < math.prod(g.size))
    coordinates = _coordinates(np.where(legal, positions, 0).reshape(g.n, g.c, *g.out), g.size)
    legal = legal.reshape(g.n, g.c, *g.out)
    tap = np.zeros((), np.int64)
    for first, at, dilation, kernel in zip(_first_taps(g), coordinates, g.dilation, g.kernel, strict=True):
        steps, rest = np.divmod(at - first, dilation)
        legal = legal & (rest == 0) & (steps >= 0) & (steps < kernel)
        tap = tap * kernel + steps
    tap = tap.reshape(positions.shape).astype(np.uint8 if math.prod(g.kernel) <= 256 else np.int32)
    return tap, legal.reshape(positions.shape)


def within_adaptive(g: AdaptivePool, positions: Array) -> Array:
    """Whether each flat position lies in the window that it is said to be the maximum of."""
    legal = (positions >= 0) & (positions < math.prod(g.size))
    coordinates = _coordinates(np.where(legal, positions, 0).reshape(g.n, g.c, *g.out), g.size)
    legal = legal.reshape(g.n, g.c, *g.out)
    for axis, (at, size, out) in enumerate(zip(coordinates, g.size, g.out, strict=True)):
        i = np.arange(out, dtype=np.int64).reshape(-1, *(1,) * (2 - axis))
        legal = legal & (at >= i * size // out) & (at < -(-(i + 1) * size // out))
    return legal.reshape(positions.shape)


def outside_window(op: str, g: Pool | AdaptivePool, positions: Array) -> ValueError:
    """The error for positions of which at least one is outside its window: it names the first."""
    legal = taps(g, positions)[1] if isinstance(g, Pool) else within_adaptive(g, positions)
    where = tuple(np.argwhere(~legal)[0].tolist())
    return ValueError(
        f"{op}: indices of shape {positions.shape} hold positions outside their windows in an image of size {g.size}, "
        f"the first at {where}: {positions[where]}"
    )
