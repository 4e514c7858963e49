"""Shape arithmetic of convolution and pooling: arguments in, geometry out.

Spatial tuples of a geometry always have the three entries depth, height, width; 1-d and 2-d operations have
size 1, kernel 1, stride 1, padding 0, dilation 1 in front. The functions are cached, so they get hashable
arguments that `scalars` made plain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .arrays import Shape, limited
from .scalars import Padding, PerAxis

Triple = tuple[int, int, int]

# Longer axes, padding included, are refused, so that the product of two extents cannot overflow 64 bits in a kernel.
MAX_EXTENT = 2**31 - 1


class Conv(NamedTuple):
    """x (n, c, *size), weight (k, c // groups, *kernel), y (n, k, *out); ``pad`` is the low side's."""

    n: int
    c: int
    k: int
    groups: int
    size: Triple
    out: Triple
    kernel: Triple
    stride: Triple
    pad: Triple
    dilation: Triple


class Pool(NamedTuple):
    """x (n, c, *size), y (n, c, *out); ``pad`` and ``pad_end`` are the padding asked for at either side."""

    n: int
    c: int
    size: Triple
    out: Triple
    kernel: Triple
    stride: Triple
    pad: Triple
    dilation: Triple
    pad_end: Triple


class AdaptivePool(NamedTuple):
    """x (n, c, *size), y (n, c, *out); window i covers floor(i * size / out) to ceil((i + 1) * size / out)."""

    n: int
    c: int
    size: Triple
    out: Triple


class _Axis(NamedTuple):
    out: int
    kernel: int
    stride: int
    dilation: int
    low: int
    high: int


def require_rank(op: str, name: str, shape: Shape, axes: tuple[str, ...]) -> None:
    """Refuse a shape that has not exactly these axes."""
    if len(shape) != len(axes):
        raise ValueError(f"{op}: {name} must have {len(axes)} axes ({', '.join(axes)}), got shape {shape}")


def spatial_axes(rank: int) -> tuple[str, ...]:
    """Names of the spatial axes for messages."""
    return ("d", "h", "w")[3 - rank :]


def require_image(op: str, rank: int, x: Shape) -> None:
    """Refuse an x that is not (n, c, spatial axes), or is empty along another axis than n."""
    require_rank(op, "x", x, ("n", "c", *spatial_axes(rank)))
    if 0 in x[1:]:
        raise ValueError(f"{op}: only the batch may be empty, got x of shape {x}")


def _tuple(value: PerAxis, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else value


def _sides(padding: Padding, size: int, kernel: int, stride: int, dilation: int, axis: int) -> tuple[int, int]:
    """(low, high) padding of one axis."""
    if isinstance(padding, int):
        return padding, padding
    if not isinstance(padding, str):
        sides = padding[axis]
        return (sides, sides) if isinstance(sides, int) else sides
    reach = dilation * (kernel - 1)
    if padding == "full":
        return reach, reach
    if padding == "same":
        # As much as makes out = ceil(size / stride); if it is odd, the end gets one element more.
        total = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
        return total // 2, total - total // 2
    return 0, 0


def padding_sides(
    size: Shape, kernel: PerAxis, stride: PerAxis, padding: Padding, dilation: PerAxis
) -> tuple[tuple[int, int], ...]:
    """(low, high) padding of each axis of images of this size."""
    per_axis = (_tuple(v, len(size)) for v in (kernel, stride, dilation))
    return tuple(_sides(padding, n, f, s, d, i) for i, (n, f, s, d) in enumerate(zip(size, *per_axis, strict=True)))


def _axis(size: int, kernel: int, stride: int, dilation: int, low: int, high: int, ceil_mode: bool) -> _Axis | None:
    """One axis: out = floor((size + low + high - dilation * (kernel - 1) - 1) / stride) + 1, or None if none fits.

    With ceil_mode the division rounds up, but windows that would start in the high padding are dropped.
    Strides and dilations that step over nothing are made 1, which bounds every number that is left.
    """
    reach = dilation * (kernel - 1)
    room = size + low + high - reach - 1
    out = room // stride + 1
    if ceil_mode:
        out = min(-(-room // stride) + 1, (size + low - 1) // stride + 1)
    if out < 1 or (room < 0 and not ceil_mode) or reach >= MAX_EXTENT:
        return None
    return _Axis(out, kernel, stride if out > 1 else 1, dilation if kernel > 1 else 1, low, high)


def _axes(
    op: str,
    x: Shape,
    kernel: tuple[int, ...],
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    ceil_mode: bool = False,
) -> list[_Axis]:
    """The three axes of a windowed operation on x (n, c, *size)."""
    rank = len(kernel)
    strides, dilations = _tuple(stride, rank), _tuple(dilation, rank)
    axes = [_Axis(1, 1, 1, 1, 0, 0)] * (3 - rank)
    for i, (size, f, s, d) in enumerate(zip(x[2:], kernel, strides, dilations, strict=True)):
        low, high = _sides(padding, size, f, s, d, i)
        if size + low + high > MAX_EXTENT:
            raise ValueError(f"{op}: x of shape {x} padded by {low} + {high} is larger than 2**31 - 1")
        axis = _axis(size, f, s, d, low, high, ceil_mode)
        if axis is None:
            raise ValueError(
                f"{op}: the kernel {kernel} with dilation {dilations} is larger than x of shape {x} "
                f"with padding {low} + {high} along {spatial_axes(rank)[i]}"
            )
        axes.append(axis)
    return axes


def triple(values: Iterable[int]) -> Triple:
    """The three spatial entries of a geometry."""
    a, b, c = values
    return a, b, c


@lru_cache(maxsize=1024)
def conv_geometry(
    op: str, rank: int, x: Shape, weight: Shape, stride: PerAxis, padding: Padding, dilation: PerAxis, groups: int
) -> Conv:
    """Geometry of x (n, c, *size) * weight (k, c // groups, *kernel)."""
    require_image(op, rank, x)
    require_rank(op, "weight", weight, ("k", "c // groups", *("k" + a for a in spatial_axes(rank))))
    if 0 in weight:
        raise ValueError(f"{op}: weight must not be empty, got shape {weight}")
    n, c, k = x[0], x[1], weight[0]
    if groups < 1 or c % groups or k % groups:
        raise ValueError(f"{op}: groups={groups} does not divide the channels of x {x} and of weight {weight}")
    if weight[1] * groups != c:
        raise ValueError(
            f"{op}: weight of shape {weight} takes {weight[1]} channels per group, "
            f"but x of shape {x} with groups={groups} has {c // groups}"
        )
    axes = _axes(op, x, weight[2:], stride, padding, dilation)
    size = triple((1,) * (3 - rank) + x[2:])
    out, kernel, strides, dilations, low, high = (triple(v) for v in zip(*axes, strict=True))
    limited(op, "the result", n, k, *out)
    limited(op, "the padded x", n, c, *(s + lo + hi for s, lo, hi in zip(size, low, high, strict=True)))
    return Conv(n, c, k, groups, size, out, kernel, strides, low, dilations)


def _transposed_axes(
    op: str,
    x: Shape,
    kernel: tuple[int, ...],
    stride: PerAxis,
    padding: Padding,
    output_padding: PerAxis,
    dilation: PerAxis,
) -> tuple[list[_Axis], list[int]]:
    """The three axes of a transposed convolution of x (n, c, *out), and the extents of its result before it is cropped."""
    rank = len(kernel)
    axes, extents = [_Axis(1, 1, 1, 1, 0, 0)] * (3 - rank), [1] * (3 - rank)
    per_axis = (_tuple(v, rank) for v in (stride, dilation, output_padding))
    for i, (out, f, s, d, extra) in enumerate(zip(x[2:], kernel, *per_axis, strict=True)):
        low, high = _sides(padding, out, f, s, d, i)
        where = f"along {spatial_axes(rank)[i]} for x of shape {x}"
        if extra >= max(s, d):
            raise ValueError(
                f"{op}: output_padding {output_padding} must be smaller than stride {stride} or dilation {dilation} {where}"
            )
        extent = (out - 1) * s + d * (f - 1) + extra + 1
        if extent > MAX_EXTENT:
            raise ValueError(f"{op}: the result {where} is larger than 2**31 - 1")
        if extent - low - high < 1:
            raise ValueError(f"{op}: padding {low} + {high} leaves nothing of the {extent} outputs {where}")
        axes.append(_Axis(out, f, s if out > 1 else 1, d if f > 1 else 1, low, high))
        extents.append(extent)
    return axes, extents


@lru_cache(maxsize=1024)
def conv_transpose_geometry(
    op: str,
    rank: int,
    x: Shape,
    weight: Shape,
    stride: PerAxis,
    padding: Padding,
    output_padding: PerAxis,
    groups: int,
    dilation: PerAxis,
) -> Conv:
    """Geometry of the convolution that maps the output (n, k, *size) to x (n, c, *out): transposed, x to the output.

    size = (out - 1) * stride - low - high + dilation * (kernel - 1) + output_padding + 1, weight (c, k // groups, *kernel).
    """
    require_image(op, rank, x)
    require_rank(op, "weight", weight, ("c", "k // groups", *("k" + a for a in spatial_axes(rank))))
    if 0 in weight:
        raise ValueError(f"{op}: weight must not be empty, got shape {weight}")
    if groups < 1 or x[1] % groups:
        raise ValueError(f"{op}: groups={groups} does not divide the channels of x {x}")
    if weight[0] != x[1]:
        raise ValueError(f"{op}: weight of shape {weight} takes {weight[0]} channels, but x of shape {x} has {x[1]}")
    axes, extents = _transposed_axes(op, x, weight[2:], stride, padding, output_padding, dilation)
    out, kernel, strides, dilations, low, high = (triple(v) for v in zip(*axes, strict=True))
    channels = weight[1] * groups
    limited(op, "the result before it is cropped", x[0], channels, *extents)
    size = triple(extent - lo - hi for extent, lo, hi in zip(extents, low, high, strict=True))
    return Conv(x[0], channels, x[1], groups, size, out, kernel, strides, low, dilations)


@lru_cache(maxsize=1024)
def pool_geometry(
    op: str,
    rank: int,
    x: Shape,
    kernel_size: PerAxis,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    ceil_mode: bool,
) -> Pool:
    """Geometry of windows over x (n, c, *size); every window holds at least one element of x."""
    require_image(op, rank, x)
    kernel_sizes = _tuple(kernel_size, rank)
    axes = _axes(op, x, kernel_sizes, stride, padding, dilation, ceil_mode)
    size = triple((1,) * (3 - rank) + x[2:])
    for extent, axis in zip(size, axes, strict=True):
        if not _windows_touch(extent, axis):
            raise ValueError(
                f"{op}: padding {padding!r} puts a whole window of kernel {kernel_sizes} outside x of shape {x}"
            )
    out, kernel, strides, dilations, low, high = (triple(v) for v in zip(*axes, strict=True))
    limited(op, "the kernel", *kernel)
    limited(op, "the result", *x[:2], *out)
    limited(op, "the padded x", *x[:2], *(s + lo + hi for s, lo, hi in zip(size, low, high, strict=True)))
    if math.prod(kernel) > MAX_EXTENT or math.prod(size) > MAX_EXTENT:
        raise ValueError(f"{op}: kernel {kernel} and the image of x {x} must each have at most 2**31 - 1 positions")
    return Pool(x[0], x[1], size, out, kernel, strides, low, dilations, high)


def _windows_touch(size: int, axis: _Axis) -> bool:
    """Whether every window has a tap inside [0, size)."""
    out, kernel, stride, dilation, low, _ = axis
    if (out - 1) * stride - low >= size or low > (kernel - 1) * dilation:
        return False
    if low == 0 or dilation <= size:
        return True
    # Taps that are further apart than the image is long can step over it, so each window that starts before it is looked at.
    before = low - stride * np.arange(min(out, -(-low // stride)), dtype=np.int64)
    first = -(-before // dilation)
    return bool(((first < kernel) & (first * dilation - before < size)).all())


@lru_cache(maxsize=1024)
def adaptive_geometry(op: str, rank: int, x: Shape, output_size: tuple[int | None, ...]) -> AdaptivePool:
    """Geometry of `output_size` windows over x (n, c, *size); None keeps the size of x."""
    require_image(op, rank, x)
    size = triple((1,) * (3 - rank) + x[2:])
    asked = (1,) * (3 - rank) + output_size
    out = triple(s if o is None else o for s, o in zip(size, asked, strict=True))
    limited(op, "the result", *x[:2], *out)
    if math.prod(size) > MAX_EXTENT or max(out) > MAX_EXTENT:
        raise ValueError(f"{op}: the image of x {x} and the output size {output_size} must be below 2**31")
    return AdaptivePool(x[0], x[1], size, out)
