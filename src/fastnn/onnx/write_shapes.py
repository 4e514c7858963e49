"""Operations that only move elements: indexing, reshaping, transposing, joining; and what looks elements up."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compare import Batch
from .graph_writer import Graph, Name, Unsayable, extents, result
from .trace import Constant, Step, Value
from .write_table import writes

_END = np.iinfo(np.int64).max


@writes("reshape")
def _reshape(g: Graph, step: Step, x: Any, *shape: Any) -> Name:
    return g.reshape(x, extents(result(step)))


@writes("transpose", "swapaxes")
def _transpose(g: Graph, step: Step, x: Any, *axes: Any) -> Name:
    order = list(range(len(x.shape)))
    if len(axes) == 2:
        first, second = axes
        order[first], order[second] = order[second], order[first]
    elif axes[0] is None:
        order.reverse()
    else:
        order = [axis % len(order) for axis in axes[0]]
    return g.node("Transpose", x, perm=order)


@writes("pixel_shuffle", "pixel_unshuffle")
def _pixel_shuffle(g: Graph, step: Step, x: Any, factor: int) -> Name:
    """Channels in groups of factor * factor; ONNX's SpaceToDepth has another order of them."""
    shape, out, ndim = extents(x), extents(result(step)), len(x.shape)
    if factor == 1:
        return g.node("Identity", x)
    if step.name == "pixel_shuffle":
        if ndim == 4:
            return g.node("DepthToSpace", x, blocksize=factor, mode="CRD")
        lead, channels = shape[:-3], out[-3]
        split = [*lead, channels, factor, factor, *shape[-2:]]
        order = (0, 3, 1, 4, 2)
    else:
        lead, channels = shape[:-3], shape[-3]
        split = [*lead, channels, out[-2], factor, out[-1], factor]
        order = (0, 2, 4, 1, 3)
    first = len(lead)
    turned = g.node("Transpose", g.reshape(x, split), perm=[*range(first), *(first + i for i in order)])
    return g.reshape(turned, out)


@writes("squeeze")
def _squeeze(g: Graph, step: Step, x: Any, axis: Any) -> Name:
    if axis is None:
        axis = tuple(i for i, n in enumerate(x.shape) if n == 1)
    axes = axis if isinstance(axis, tuple) else (axis,)
    return g.node("Squeeze", x, g.ints(*axes)) if axes else g.node("Identity", x)


@writes("expand_dims")
def _expand_dims(g: Graph, step: Step, x: Any, axis: Any) -> Name:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    return g.node("Unsqueeze", x, g.ints(*axes)) if axes else g.node("Identity", x)


@writes("astype")
def _astype(g: Graph, step: Step, x: Any, *dtype: Any) -> Name:
    return g.cast(x, result(step).dtype)


@writes("clone")
def _clone(g: Graph, step: Step, x: Any) -> Name:
    return g.node("Identity", x)


@writes("concatenate")
def _concatenate(g: Graph, step: Step, *arguments: Any) -> Name:
    *parts, axis = arguments
    dtype = result(step).dtype
    return g.node("Concat", *(g.operand(x, dtype) for x in parts), axis=axis)


@writes("stack")
def _stack(g: Graph, step: Step, *arguments: Any) -> Name:
    *parts, axis = arguments
    dtype, place = result(step).dtype, g.ints(axis % len(result(step).shape))
    return g.node("Concat", *(g.node("Unsqueeze", g.operand(x, dtype), place) for x in parts), axis=axis)


@writes("embedding")
def _embedding(g: Graph, step: Step, index: Any, weight: Any, padding_idx: Any) -> Name:
    return g.node("Gather", weight, numbers(g, index), axis=0)


def numbers(g: Graph, index: Any) -> Name:
    """Integers by which elements are looked up, as int64."""
    if not isinstance(index, (Value, Constant)):
        return g.array(index, np.int64)
    return g.name(index) if index.dtype == np.int64 else g.cast(index, np.int64)


@writes("getitem")
def _getitem(g: Graph, step: Step, x: Any, index: Any) -> Name:
    items = [_array(item) for item in (index if isinstance(index, tuple) else (index,))]
    items = _complete(items, len(x.shape))
    if any(isinstance(item, (bool, np.bool_)) for item in items):
        raise Unsayable("indexes by True or False, of which the number of results depends")
    y = _sliced(g, x, [item for item in items if item is not None])
    found = [i for i, item in enumerate(items) if isinstance(item, (Value, Constant))]
    if len(found) > 1:
        raise Unsayable("indexes by several arrays at once")
    # Numbers take their axes away, beside an array they count as one more array.
    kept = [item for item in items if item is not None]
    singles = [i for i, item in enumerate(kept) if isinstance(item, (int, np.integer, Batch))]
    if found:
        if singles:
            raise Unsayable("indexes by arrays and numbers at once; index twice")
        if None in items:
            raise Unsayable("indexes by an array and None at once; index twice")
        return _gathered(g, y, x, kept, found[0])
    if singles:
        y = g.node("Squeeze", y, g.ints(*singles))
    new = [i for i, item in enumerate(_without_numbers(items)) if item is None]
    if new:
        y = g.node("Unsqueeze", y, g.ints(*new))
    return y if y != g.name(x) else g.node("Identity", x)


def _array(item: Any) -> Any:
    """An item of an index, where a list stands for an array."""
    return Constant(np.array(item, None if item else np.int64)) if isinstance(item, list) else item


def _complete(items: list[Any], ndim: int) -> list[Any]:
    """An item for each axis, and None for new ones: with slices for what an Ellipsis stands for, and for what is left out."""
    used = sum(item is not None and item is not Ellipsis for item in items)
    used += sum(len(item.shape) - 1 for item in items if _is_mask(item))
    place = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    filled = [slice(None)] * (ndim - used)
    return [*items[:place], *filled, *items[place + 1 :]]


def _is_mask(item: Any) -> bool:
    return isinstance(item, (Value, Constant)) and item.dtype == bool


def _without_numbers(items: list[Any]) -> list[Any]:
    return [item for item in items if not isinstance(item, (int, np.integer, Batch))]


def _sliced(g: Graph, x: Any, items: list[Any]) -> Name:
    """x cut by the slices and numbers of an index; a number leaves an axis of extent 1."""
    starts, ends, axes, steps = [], [], [], []
    for axis, item in enumerate(items):
        if isinstance(item, slice) and item != slice(None):
            start, end, step = item.start, item.stop, 1 if item.step is None else item.step
            starts.append((0 if step > 0 else _END) if start is None else start)
            ends.append((_END if step > 0 else -_END) if end is None else end)
            steps.append(step)
            axes.append(axis)
        elif isinstance(item, (int, np.integer)):
            starts.append(int(item))
            ends.append(int(item) + 1 if item != -1 else _END)
            steps.append(1)
            axes.append(axis)
        elif isinstance(item, Batch):
            raise Unsayable("indexes by a number that is a multiple of the batch size")
    if not axes:
        return g.name(x)
    return g.node("Slice", x, g.shape(starts), g.shape(ends), g.ints(*axes), g.ints(*steps))


def _gathered(g: Graph, y: Name, x: Any, items: list[Any], axis: int) -> Name:
    index = items[axis]
    if _is_mask(index):
        if isinstance(index, Value) or len(index.shape) > 1 or index.axis is not None:
            raise Unsayable("indexes by a mask, of which the number of results depends; use fastnn.where")
        return g.node("Gather", y, g.array(np.flatnonzero(index.array)), axis=axis)
    return g.node("Gather", y, numbers(g, index), axis=axis)
