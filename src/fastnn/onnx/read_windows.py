"""ONNX's convolutions and poolings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import ops as tape
from ..autograd import raw, shaping
from ..autograd import reductions as sums
from .read_shapes import padded
from .read_table import F, is_float, op, text

Pairs = tuple[tuple[int, int], ...]


def _of_rank(name: str, x: Any) -> Any:
    axes = x.ndim - 2
    if axes not in (1, 2, 3):
        raise ValueError(f"{axes} spatial axes; 1, 2 and 3 are supported")
    return getattr(F, f"{name}{axes}d")


def _each(values: Sequence[int] | None, x: Any) -> tuple[int, ...]:
    """An attribute with a number for each spatial axis, 1 by default."""
    found = (1,) * (x.ndim - 2) if values is None else tuple(values)
    if len(found) != x.ndim - 2 or min(found, default=1) < 1:
        raise ValueError(f"{found} for {x.ndim - 2} spatial axes")
    return found


def _pairs(pads: Sequence[int] | None, axes: int) -> Pairs:
    widths = (0,) * (2 * axes) if pads is None else tuple(pads)
    if len(widths) != 2 * axes:
        raise ValueError(f"{len(widths)} pads for {axes} spatial axes")
    return tuple(zip(widths[:axes], widths[axes:], strict=True))


def _halves(total: int, auto_pad: str) -> tuple[int, int]:
    """A border in two; the odd one is at the end with SAME_UPPER, at the start with SAME_LOWER."""
    return (total // 2, total - total // 2) if auto_pad == "SAME_UPPER" else (total - total // 2, total // 2)


def _padding(
    x: Any,
    taps: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int] | None,
    auto_pad: Any,
) -> Pairs:
    """The border of each spatial axis."""
    kind = text(auto_pad)
    if kind == "NOTSET":
        return _pairs(pads, x.ndim - 2)
    if kind == "VALID":
        return _pairs(None, x.ndim - 2)
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad={kind!r} is not supported")
    sizes = zip(x.shape[2:], taps, strides, dilations, strict=True)
    return tuple(_halves(max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0), kind) for n, k, s, d in sizes)


@op("Conv")
def _conv(
    x: Any, weight: Any, bias: Any = None, /, *, run: Any, auto_pad: Any = "NOTSET", dilations: Any = None, group: int = 1,
    kernel_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    convolve = _of_rank("conv", x)
    taps = weight.shape[2:]
    if weight.ndim != x.ndim or (kernel_shape is not None and tuple(kernel_shape) != taps):
        raise ValueError(f"weights of shape {weight.shape} for kernel_shape {kernel_shape}, input of shape {x.shape}")
    stride, dilation = _each(strides, x), _each(dilations, x)
    padding = _padding(x, taps, stride, dilation, pads, auto_pad)
    run.room([n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True)], raw(x).dtype)
    shape = F.conv_output_shape(x.shape, weight.shape, stride, padding, dilation, group)
    run.room(shape, raw(x).dtype)
    return convolve(x, weight, bias, stride, padding, dilation, group)


@op("ConvTranspose")
def _conv_transpose(
    x: Any, weight: Any, bias: Any = None, /, *, run: Any, auto_pad: Any = "NOTSET", dilations: Any = None, group: int = 1,
    kernel_shape: Any = None, output_padding: Any = None, output_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    convolve = _of_rank("conv_transpose", x)
    taps = weight.shape[2:]
    if weight.ndim != x.ndim or (kernel_shape is not None and tuple(kernel_shape) != taps):
        raise ValueError(f"weights of shape {weight.shape} for kernel_shape {kernel_shape}, input of shape {x.shape}")
    stride, dilation = _each(strides, x), _each(dilations, x)
    beyond = (0,) * len(taps) if output_padding is None else tuple(output_padding)
    if any(o >= max(s, d) for o, s, d in zip(beyond, stride, dilation, strict=True)):
        raise ValueError(f"output_padding={beyond} is not below strides={stride} or dilations={dilation}")
    kind = text(auto_pad)
    wanted = None if output_shape is None else tuple(output_shape)[-len(taps) :]
    if wanted is None and kind in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(n * s for n, s in zip(x.shape[2:], stride, strict=True))
    padding = _pairs(pads if kind == "NOTSET" else None, len(taps))
    if wanted is not None:
        sizes = zip(x.shape[2:], taps, stride, dilation, beyond, wanted, strict=True)
        totals = [s * (n - 1) + o + (k - 1) * d + 1 - m for n, k, s, d, o, m in sizes]
        beyond = tuple(o + max(-total, 0) for o, total in zip(beyond, totals, strict=True))
        padding = tuple(_halves(max(total, 0), kind) for total in totals)
    return _transposed(run, convolve, (x, weight, bias), stride, padding, beyond, group, dilation)


def _transposed(
    run: Any, convolve: Any, values: Any, stride: Any, padding: Pairs, beyond: Any, group: int, dilation: Any
) -> Any:
    """F's function demands that the rows beyond the end are fewer than a stride or a dilation: others are zeros behind it."""
    x, weight, bias = values
    fits = all(o < max(s, d) for o, s, d in zip(beyond, stride, dilation, strict=True))
    inside = beyond if fits else (0,) * len(beyond)
    shape = F.conv_transpose_output_shape(x.shape, weight.shape, stride, 0, inside, group, dilation)
    run.room(shape, raw(x).dtype)
    if fits:
        return convolve(x, weight, bias, stride, padding, inside, group, dilation)
    y = convolve(x, weight, None, stride, 0, inside, group, dilation)
    y = padded(
        y, [(0, 0), (0, 0), *((-low, o - high) for (low, high), o in zip(padding, beyond, strict=True))], "constant"
    )
    return y if bias is None else tape.add(y, shaping.reshape(bias, (-1, *(1,) * len(beyond))))


@op("MaxPool", outputs=2)
def _max_pool(
    x: Any, /, *, run: Any, count: int, auto_pad: Any = "NOTSET", ceil_mode: int = 0, dilations: Any = None, kernel_shape: Any,
    pads: Any = None, storage_order: int = 0, strides: Any = None,
) -> Any:  # fmt: skip
    pool = _of_rank("max_pool", x)
    taps, stride, dilation = _each(kernel_shape, x), _each(strides, x), _each(dilations, x)
    padding = _padding(x, taps, stride, dilation, pads, auto_pad)
    run.room(_padded_shape(x, padding), raw(x).dtype)
    dtype = raw(x).dtype
    values = x if is_float(x) else raw(x).astype(np.float32)  # which holds all numbers of 8 bits
    options = taps, stride, padding, dilation, _ceil(ceil_mode, auto_pad)
    if count == 1:
        y = pool(values, *options)
        return y if is_float(x) else y.astype(dtype)
    y, index = pool(values, *options, return_indices=True)
    return (y if is_float(x) else y.astype(dtype)), _in_the_tensor(index, x.shape, storage_order)


def _ceil(ceil_mode: int, auto_pad: Any) -> bool:
    """Whether extents are rounded up; auto_pad decides on them otherwise."""
    return bool(ceil_mode) and text(auto_pad) == "NOTSET"


def _padded_shape(x: Any, padding: Pairs) -> list[int]:
    return [*x.shape[:2], *(n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True))]


def _in_the_tensor(index: np.ndarray, shape: tuple[int, ...], storage_order: int) -> np.ndarray:
    """Places in each plane as places in the whole tensor, whose planes may be stored column by column."""
    planes, plane = shape[0] * shape[1], math.prod(shape[2:])
    places = index.astype(np.int64)
    if storage_order:
        places = np.ravel_multi_index(np.unravel_index(places, shape[2:]), shape[2:], order="F")
    return places + (np.arange(planes) * plane).reshape(*shape[:2], *(1,) * (len(shape) - 2))


@op("AveragePool")
def _average_pool(
    x: Any, /, *, run: Any, auto_pad: Any = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0, dilations: Any = None,
    kernel_shape: Any, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    pool = _of_rank("avg_pool", x)
    taps, stride, dilation = _each(kernel_shape, x), _each(strides, x), _each(dilations, x)
    padding = _padding(x, taps, stride, dilation, pads, auto_pad)
    run.room(_padded_shape(x, padding), raw(x).dtype)
    return pool(x, taps, stride, padding, _ceil(ceil_mode, auto_pad), bool(count_include_pad), dilation=dilation)


_LARGEST_P = 100  # powers beyond are 0 or infinite in other runtimes, whatever the window holds


@op("LpPool")
def _lp_pool(
    x: Any, /, *, run: Any, auto_pad: Any = "NOTSET", ceil_mode: int = 0, dilations: Any = None, kernel_shape: Any, p: int = 2,
    pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    pool = _of_rank("lp_pool", x)
    if not 1 <= p <= _LARGEST_P:
        raise ValueError(f"p={p} is not between 1 and {_LARGEST_P}")
    taps, stride, dilation = _each(kernel_shape, x), _each(strides, x), _each(dilations, x)
    padding = _padding(x, taps, stride, dilation, pads, auto_pad)
    run.room(_padded_shape(x, padding), raw(x).dtype)
    return pool(x, float(p), taps, stride, _ceil(ceil_mode, auto_pad), padding=padding, dilation=dilation)


def _spatial(x: Any) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


@op("GlobalAveragePool")
def _global_average_pool(x: Any, /) -> Any:
    return sums.mean(x, _spatial(x), keepdims=True)


@op("GlobalMaxPool")
def _global_max_pool(x: Any, /) -> Any:
    return sums.max(x, _spatial(x), keepdims=True)


@op("GlobalLpPool")
def _global_lp_pool(x: Any, /, *, p: int = 2) -> Any:
    return _of_rank("lp_pool", x)(x, float(p), x.shape[2:])
