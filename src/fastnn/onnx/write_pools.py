"""Poolings.

ONNX rounds sizes up (``ceil_mode``) by rules that changed with the opset, so the padding that the windows really reach into is
written out, and nothing is rounded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .graph import Graph, Name, Unsayable, result
from .rows import writes
from .trace import Step
from .write_products import sides, window


def _of_pool(g: Graph, step: Step, kind: str, x: Any, outputs: int = 1, **attributes: Any) -> Any:
    geometry, rank = step.geometry, len(result(step).shape) - 2
    places = window(geometry, rank)
    if kind != "MaxPool":
        del places["dilations"]
    return g.node(kind, x, outputs=outputs, pads=sides(geometry, rank), **places, **attributes)


@writes("max_pool1d", "max_pool2d", "max_pool3d")
def _max_pool(g: Graph, step: Step, x: Any, *settings: Any) -> Any:
    geometry, rank = step.geometry, len(x.shape) - 2
    wide = any(n >= k for n, k in zip(sides(geometry, rank), geometry.kernel[3 - rank :] * 2, strict=True))
    several = len(step.outputs) > 1
    if not wide:
        made = _of_pool(g, step, "MaxPool", x, len(step.outputs))
        return (made[0], _in_plane(g, made[1], math.prod(geometry.size))) if several else made
    if several:
        raise Unsayable("gives indices, and its padding is as wide as the kernel, which runtimes refuse")
    low, high = sides(geometry, rank)[:rank], sides(geometry, rank)[rank:]
    dtype = result(step).dtype
    padded = g.node("Pad", x, g.ints(0, 0, *low, 0, 0, *high), g.array(-np.inf, dtype), mode="constant")
    return g.node("MaxPool", padded, **window(geometry, rank))


def _in_plane(g: Graph, indices: Name, size: int) -> Name:
    """Places in the plane of each channel; ONNX counts through the whole tensor."""
    name: Name = g.node("Mod", indices, g.ints(size))
    return name


@writes("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(
    g: Graph, step: Step, x: Any, size: Any, stride: Any, padding: Any, ceil: Any, with_pad: bool, divisor: Any
) -> Name:
    geometry, rank = step.geometry, len(x.shape) - 2
    volume = math.prod(geometry.kernel)
    counts = [np.array([volume if divisor is None else divisor])]
    if divisor is None:
        counts = [_counts(geometry, axis, with_pad) for axis in range(3 - rank, 3)]
        if not with_pad and all(_overhang(geometry, axis) == 0 for axis in range(3 - rank, 3)):
            return _of_pool(g, step, "AveragePool", x, count_include_pad=0)  # type: ignore[no-any-return]
    y: Name = _of_pool(g, step, "AveragePool", x, count_include_pad=1)
    divisors = counts[0].astype(np.float64)
    for count in counts[1:]:
        divisors = divisors[..., None] * count
    if (divisors == volume).all():
        return y
    factors = volume / divisors
    shape = () if divisor is not None else (1, 1, *factors.shape)
    return g.node("Mul", y, g.array(factors.reshape(shape), result(step).dtype))  # type: ignore[no-any-return]


def _counts(geometry: Any, axis: int, with_pad: bool) -> np.ndarray:
    """How many elements count in each window along an axis; what overhangs the padding never does."""
    g = geometry
    first = np.arange(g.out[axis]) * g.stride[axis] - g.pad[axis]
    taps = first[:, None] + np.arange(g.kernel[axis]) * g.dilation[axis]
    low, high = (-g.pad[axis], g.size[axis] + g.pad_end[axis]) if with_pad else (0, g.size[axis])
    counts: np.ndarray = ((taps >= low) & (taps < high)).sum(axis=1)
    return counts


def _overhang(geometry: Any, axis: int) -> int:
    """How far the last window reaches beyond the padding; ONNX would count that as padding."""
    g = geometry
    end = (g.out[axis] - 1) * g.stride[axis] - g.pad[axis] + g.dilation[axis] * (g.kernel[axis] - 1) + 1
    return int(max(end - g.size[axis] - g.pad_end[axis], 0))


@writes("lp_pool1d", "lp_pool2d", "lp_pool3d")
def _lp_pool(g: Graph, step: Step, x: Any, p: float, *settings: Any) -> Name:
    dtype = result(step).dtype
    if p == int(p) and dtype == np.float32:
        return _of_pool(g, step, "LpPool", x, p=int(p))  # type: ignore[no-any-return]
    powers = g.node("Pow", g.node("Abs", x), g.array(p, dtype))
    means = _of_pool(g, step, "AveragePool", powers, count_include_pad=1)
    sums = g.node("Mul", means, g.array(math.prod(step.geometry.kernel), dtype))
    name: Name = g.node("Pow", sums, g.array(1 / p, dtype))
    return name


@writes("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def _adaptive_avg_pool(g: Graph, step: Step, x: Any, *settings: Any) -> Name:
    if all(n == 1 for n in step.geometry.out):
        return g.node("GlobalAveragePool", x)  # type: ignore[no-any-return]
    name: Name = g.node("AveragePool", x, **_even(step, x))
    return name


@writes("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_max_pool(g: Graph, step: Step, x: Any, *settings: Any) -> Any:
    if len(step.outputs) > 1:
        y, indices = g.node("MaxPool", x, outputs=2, **_even(step, x))
        return y, _in_plane(g, indices, math.prod(step.geometry.size))
    if all(n == 1 for n in step.geometry.out):
        return g.node("GlobalMaxPool", x)
    return g.node("MaxPool", x, **_even(step, x))


def _even(step: Step, x: Any) -> dict[str, list[int]]:
    """The windows where the sizes of the output divide those of the input."""
    rank = len(x.shape) - 2
    pairs = list(zip(step.geometry.size, step.geometry.out, strict=True))[3 - rank :]
    if any(n % out for n, out in pairs):
        sizes, outs = zip(*pairs, strict=True)
        raise Unsayable(f"makes {outs} of {sizes}, which it does not divide, so that windows are of several sizes")
    return {"kernel_shape": [n // out for n, out in pairs], "strides": [n // out for n, out in pairs]}
