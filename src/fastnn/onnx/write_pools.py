"""Poolings.

ONNX rounds sizes up (``ceil_mode``) by rules that changed with the opset, so the padding that the windows really reach into is
written out, and nothing is rounded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .graph_writer import Graph, Name, Unsayable, result
from .trace import Step
from .write_arithmetic import reduced
from .write_products import sides, window
from .write_table import writes


def _places(step: Step) -> dict[str, list[int]]:
    """The windows of a pooling, and the padding that they reach into."""
    geometry, rank = step.geometry, len(result(step).shape) - 2
    return {"pads": sides(geometry, rank), **window(geometry, rank)}


def _average(g: Graph, step: Step, x: Any, with_pad: bool) -> Name:
    places = _places(step)
    if all(d == 1 for d in places["dilations"]):
        del places["dilations"]
        return g.node("AveragePool", x, count_include_pad=int(with_pad), **places)
    # Only newer opsets know dilations; the same is a convolution of each channel by itself.
    channels, volume = result(step).shape[1], math.prod(places["kernel_shape"])
    filters = np.full((channels, 1, *places["kernel_shape"]), 1 / volume, result(step).dtype)
    return g.node("Conv", x, g.array(filters), group=channels, **places)


@writes("max_pool1d", "max_pool2d", "max_pool3d")
def _max_pool(g: Graph, step: Step, x: Any, *settings: Any) -> Any:
    places = _places(step)
    several = len(step.outputs) > 1
    if all(n < k for n, k in zip(places["pads"], places["kernel_shape"] * 2, strict=True)):
        return _maxima(g, step, x, places)
    if several:
        raise Unsayable("gives indices, and its padding is as wide as the kernel, which runtimes refuse")
    pads = places.pop("pads")
    rank = len(pads) // 2
    lowest = g.array(-np.inf, result(step).dtype)
    padded = g.node("Pad", x, g.ints(0, 0, *pads[:rank], 0, 0, *pads[rank:]), lowest, mode="constant")
    return g.node("MaxPool", padded, **places)


def _maxima(g: Graph, step: Step, x: Any, places: dict[str, list[int]]) -> Any:
    """The maxima, and where indices are wanted their places in the plane; ONNX counts through the whole tensor."""
    if len(step.outputs) == 1:
        return g.node("MaxPool", x, **places)
    y, indices = g.node_of_several("MaxPool", 2, x, **places)
    return y, g.node("Mod", indices, g.ints(math.prod(step.geometry.size)))


@writes("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(
    g: Graph, step: Step, x: Any, size: Any, stride: Any, padding: Any, ceil: Any, with_pad: bool, divisor: Any,
    dilation: Any,
) -> Name:  # fmt: skip
    geometry, rank = step.geometry, len(x.shape) - 2
    volume = math.prod(geometry.kernel)
    counts = [np.array([volume if divisor is None else divisor])]
    if divisor is None:
        counts = [_counts(geometry, axis, with_pad) for axis in range(3 - rank, 3)]
        plain = all(_overhang(geometry, axis) == 0 for axis in range(3 - rank, 3)) and max(geometry.dilation) == 1
        if not with_pad and plain:
            return _average(g, step, x, with_pad=False)
    y = _average(g, step, x, with_pad=True)
    divisors = counts[0].astype(np.float64)
    for count in counts[1:]:
        divisors = divisors[..., None] * count
    if (divisors == volume).all():
        return y
    factors = volume / divisors
    shape = () if divisor is not None else (1, 1, *factors.shape)
    return g.node("Mul", y, g.array(factors.reshape(shape), result(step).dtype))


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
    if p == int(p) and dtype == np.float32 and max(step.geometry.dilation) == 1:
        places = _places(step)
        del places["dilations"]
        return g.node("LpPool", x, p=int(p), **places)
    powers = g.node("Pow", g.node("Abs", x), g.array(p, dtype))
    sums = g.node("Mul", _average(g, step, powers, with_pad=True), g.array(math.prod(step.geometry.kernel), dtype))
    return g.node("Pow", sums, g.array(1 / p, dtype))


@writes("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def _adaptive_avg_pool(g: Graph, step: Step, x: Any, *settings: Any) -> Name:
    return adaptive_average(g, step, x)


def adaptive_average(g: Graph, step: Step, x: Any) -> Name:
    """A pooling where the sizes divide; else a product with a constant matrix along each axis."""
    pairs = _sizes(step, x)
    if all(out == 1 for _, out in pairs):
        return g.node("GlobalAveragePool", x)
    if all(n % out == 0 for n, out in pairs):
        return g.node("AveragePool", x, **_even(pairs))
    y = g.name(x)
    for axis, (n, out) in enumerate(pairs, 2):
        matrix = np.zeros((out, n))
        for i, (start, end) in enumerate(_windows(n, out)):
            matrix[i, start:end] = 1 / (end - start)
        y = along(g, y, matrix.astype(result(step).dtype), axis, len(x.shape))
    return y


def along(g: Graph, y: Name, matrix: np.ndarray, axis: int, ndim: int) -> Name:
    """The product of a matrix (out, in) with y along an axis."""
    letters = "ncdhw"[:ndim]
    made = letters.replace(letters[axis], "o")
    return g.node("Einsum", y, g.array(matrix), equation=f"{letters},o{letters[axis]}->{made}")


@writes("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_max_pool(g: Graph, step: Step, x: Any, *settings: Any) -> Any:
    pairs = _sizes(step, x)
    if len(step.outputs) == 1 and all(out == 1 for _, out in pairs):
        return g.node("GlobalMaxPool", x)
    if all(n % out == 0 for n, out in pairs):
        return _maxima(g, step, x, _even(pairs))
    if len(step.outputs) > 1:
        raise Unsayable(f"gives indices of {pairs} sizes of input and output, which do not divide each other")
    y = g.name(x)
    for axis, (n, out) in enumerate(pairs, 2):
        if n == out:
            continue
        cuts = [g.node("Slice", y, g.ints(start), g.ints(end), g.ints(axis)) for start, end in _windows(n, out)]
        y = g.node("Concat", *(reduced(g, "ReduceMax", cut, (axis,)) for cut in cuts), axis=axis)
    return y


def _sizes(step: Step, x: Any) -> list[tuple[int, int]]:
    """The extents of input and output along each spatial axis."""
    pairs = zip(step.geometry.size, step.geometry.out, strict=True)
    return list(pairs)[5 - len(x.shape) :]


def _even(pairs: list[tuple[int, int]]) -> dict[str, list[int]]:
    windows = [n // out for n, out in pairs]
    return {"kernel_shape": windows, "strides": windows}


def _windows(n: int, out: int) -> list[tuple[int, int]]:
    """Where the windows of adaptive pooling start and end."""
    return [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
