"""Which inputs, with which weights, make an output of a resampled axis: tables for the backends, which know no modes.

A table follows from sizes and settings alone and is computed in float64. That of the gradient has the same entries by input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array


class Taps(NamedTuple):
    """Output o of an axis is the sum over k of ``weights[k, o]`` times input ``inputs[k, o]``."""

    size: int
    out: int
    inputs: Array  # (k, out), int32
    weights: Array  # (k, out), of the dtype of the images
    empty: Array  # int32: the outputs that no input contributes to, in order; their weights are 0


class Rule(NamedTuple):
    """How the outputs of an axis find their inputs; ONNX's Resize says what ``coordinates`` and ``rounding`` mean.

    Where ``coordinates`` is "pytorch", nearest neighbours are PyTorch's.
    """

    kind: str  # "nearest", "linear" or "cubic"
    coordinates: str
    rounding: str
    cubic_coeff_a: float
    exclude_outside: bool
    antialias: bool


class Axis(NamedTuple):
    """An axis to be resampled; start and end, shares of its length, matter to "tf_crop_and_resize" alone.

    A scale of 0 stands for that of the sizes, which PyTorch's nearest neighbours divide by each other in their own way.
    """

    size: int
    out: int
    scale: float
    start: float
    end: float


class _Entries(NamedTuple):
    """Output row[i] takes weight[i] times input column[i]; no pair of these occurs twice."""

    row: Array
    column: Array
    weight: Array


def taps(rule: Rule, axis: Axis, dtype: np.dtype[Any], transposed: bool) -> Taps:
    """The table of an axis; ``transposed``: that of the gradient, in which inputs take from outputs."""
    entries = _nearest(rule, axis) if rule.kind == "nearest" else _weighted(rule, axis)
    if transposed:
        return _table(axis.out, axis.size, entries.column, entries.row, entries.weight, dtype)
    return _table(axis.size, axis.out, *entries, dtype)


def unchanged(size: int, dtype: np.dtype[Any]) -> Taps:
    """The table of an axis that stays as it is."""
    return Taps(size, size, np.arange(size, dtype=np.int32)[None], np.ones((1, size), dtype), np.empty(0, np.int32))


def _table(size: int, out: int, row: Array, column: Array, weight: Array, dtype: np.dtype[Any]) -> Taps:
    """All outputs get as many taps.

    Where one has fewer, its largest tap is split into parts: a weight of 0 would make NaN of an infinite input. The parts are
    powers of two of the whole, so that their sum is what the tap was.
    """
    order = np.lexsort((column, row))
    row, column, weight = row[order], column[order], weight[order]
    count = np.bincount(row, minlength=out)
    most = max(1, int(count.max()))
    place = np.arange(len(row)) - (np.cumsum(count) - count)[row]
    index, weights = np.zeros((most, out), np.int32), np.zeros((most, out))
    index[place, row], weights[place, row] = column, weight
    every = np.arange(out)
    largest = np.abs(weights).argmax(axis=0)
    parts = 2.0 ** np.ceil(np.log2(most - count + 1))
    whole, source = weights[largest, every], index[largest, every]
    weights[largest, every] = whole * ((parts - (most - count)) / parts)
    missing = np.arange(most)[:, None] >= count
    weights, index = np.where(missing, whole / parts, weights), np.where(missing, source, index)
    return Taps(size, out, index, weights.astype(dtype), np.flatnonzero(count == 0).astype(np.int32))


def _places(rule: Rule, axis: Axis) -> Array:
    """Where each output lies between the inputs: ONNX's formulas in its order, since a rounding can change a neighbour."""
    output = np.arange(axis.out, dtype=np.float64)
    width = axis.scale * axis.size  # may be a fraction, of which ``out`` is the whole part
    if rule.coordinates == "align_corners":
        return np.zeros(1) if axis.out == 1 else output * (axis.size - 1) / (width - 1)
    if rule.coordinates == "asymmetric":
        return output / axis.scale
    if rule.coordinates == "tf_crop_and_resize":
        last = axis.size - 1
        if width == 1:
            return np.full(axis.out, 0.5 * (axis.start + axis.end) * last)
        return output * (axis.end - axis.start) * last / (width - 1) + axis.start * last
    if rule.coordinates == "pytorch_half_pixel" and width == 1:
        return np.zeros(axis.out)
    centre = (output + 0.5) / axis.scale - 0.5
    if rule.coordinates == "half_pixel_symmetric":
        centre += axis.size / 2 * (1 - axis.out / width)
    return centre


def _inside(rule: Rule, axis: Axis, places: Array) -> Array:
    """The outputs that the image contributes to."""
    if rule.coordinates == "tf_crop_and_resize":
        return np.flatnonzero((places >= 0) & (places <= axis.size - 1))
    return np.arange(axis.out)


_ROUNDING: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda places: np.ceil(places - 0.5),
    "round_prefer_ceil": lambda places: np.floor(places + 0.5),
}


def _nearest(rule: Rule, axis: Axis) -> _Entries:
    if rule.coordinates == "pytorch":
        row, column = np.arange(axis.out), _pytorch_nearest(rule, axis)
    else:
        places = _places(rule, axis)
        row = _inside(rule, axis, places)
        column = _ROUNDING[rule.rounding](places[row])
    return _Entries(row, np.clip(column, 0, axis.size - 1).astype(np.int64), np.ones(len(row)))


def _pytorch_nearest(rule: Rule, axis: Axis) -> Array:
    """As in PyTorch's ``UpSample.h``, in float32: next to a whole number, other roundings find other neighbours."""
    output = np.arange(axis.out)
    if rule.rounding == "floor" and axis.out in (axis.size, 2 * axis.size):
        return output * axis.size // axis.out
    step = np.float32(1 / axis.scale) if axis.scale else np.float32(axis.size) / np.float32(axis.out)
    if rule.rounding == "floor":
        return np.asarray(np.floor(output.astype(np.float32) * step))
    return np.asarray(np.floor(((output + 0.5) * np.float64(step)).astype(np.float32)))


def _weighted(rule: Rule, axis: Axis) -> _Entries:
    """Weights are values of a filter, as wide as one or two inputs to each side; antialias makes it as wide as outputs are."""
    places = _places(rule, axis)
    row = _inside(rule, axis, places)
    places = places[row]
    narrow = min(axis.scale, 1.0) if rule.antialias else 1.0
    first = int(np.floor(-(1 if rule.kind == "linear" else 2) / narrow)) + 1
    column = np.floor(places)[:, None] + np.arange(first, 2 - first)
    distance = np.abs(column - places[:, None]) * narrow
    weight = _linear(distance) if rule.kind == "linear" else _cubic(distance, rule.cubic_coeff_a)
    if rule.antialias:
        weight /= weight.sum(axis=1, keepdims=True)
    if rule.exclude_outside:
        kept = np.where((column >= 0) & (column < axis.size), weight, 0)
        total = kept.sum(axis=1, keepdims=True)
        # Where nothing is left, the edge stands for what is beyond it.
        weight = np.where(total == 0, weight, kept / np.where(total == 0, 1, total))
    return _merged(
        np.repeat(row, column.shape[1]), np.clip(column, 0, axis.size - 1).ravel(), weight.ravel(), axis.size
    )


def _merged(row: Array, column: Array, weight: Array, size: int) -> _Entries:
    """Beyond the edge of an image are inputs of the edge, which a row of outputs may take several times."""
    pair, place = np.unique(row * size + column.astype(np.int64), return_inverse=True)
    weight = np.bincount(place, weight)
    kept = weight != 0
    return _Entries(pair[kept] // size, pair[kept] % size, weight[kept])


def _linear(distance: Array) -> Array:
    return np.asarray(np.maximum(1 - distance, 0))


def _cubic(d: Array, a: float) -> Array:
    """Keys' cubic convolution."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
