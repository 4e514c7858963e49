"""ONNX's ops that make values of shapes and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import raw
from .read_call import refuse_type
from .read_table import integers, number, op


@op("Constant")
def _constant(*, run: Any, value: Any = None, value_float: Any = None, value_floats: Any = None, value_int: Any = None,
              value_ints: Any = None) -> Any:  # fmt: skip
    if value is not None:
        run.give(value.nbytes)  # which the file holds
        return run.floats(value)
    if value_float is not None or value_floats is not None:
        return np.array(value_floats if value_float is None else value_float, run.dtype(1))
    return np.array(value_ints if value_int is None else value_int, np.int64)


@op("ConstantOfShape")
def _constant_of_shape(shape: Any, /, *, run: Any, value: Any = None) -> Any:
    filling = np.zeros(1, run.dtype(1)) if value is None else run.floats(value)
    wanted = integers(shape)
    run.room(wanted, filling.dtype)
    return np.full(wanted, filling.reshape(-1)[0], filling.dtype)


@op("Range")
def _range(start: Any, limit: Any, delta: Any, /, *, run: Any) -> Any:
    first, last, step = number(start), number(limit), number(delta)
    if step == 0:
        raise ValueError("a step of 0")
    steps = np.ceil((last - first) / step)
    if not np.isfinite(steps):
        raise ValueError(f"no range from {first} to {last} by {step}")
    dtype = raw(start).dtype
    count = max(int(steps), 0)
    run.room((count,), np.float64)
    return (first + np.arange(count) * step).astype(dtype)


@op("Shape")
def _shape(x: Any, /, *, start: int = 0, end: int | None = None) -> Any:
    ndim = x.ndim
    first, last = (min(max(n + ndim if n < 0 else n, 0), ndim) for n in (start, ndim if end is None else end))
    return np.array(x.shape[first:last], np.int64)


@op("Size")
def _size(x: Any, /) -> Any:
    return np.array(x.size if isinstance(x, np.ndarray) else raw(x).size, np.int64)


@op("EyeLike", refuse=refuse_type("dtype"))
def _eye_like(x: Any, /, *, run: Any, dtype: int | None = None, k: int = 0) -> Any:
    return np.eye(x.shape[0], x.shape[1], k, dtype=raw(x).dtype if dtype is None else run.dtype(dtype))


@op("OneHot")
def _one_hot(indices: Any, depth: Any, values: Any, /, *, run: Any, axis: int = -1) -> Any:
    places, count = np.asarray(raw(indices)).astype(np.int64), int(np.asarray(raw(depth)).reshape(-1)[0])
    if (places != raw(indices)).any() or (count != raw(depth)).any():
        raise ValueError("an index or the depth is no whole number")
    off, on = raw(values)
    axis = axis if axis >= 0 else axis + places.ndim + 1
    if count < 0 or not 0 <= axis <= places.ndim:
        raise ValueError(f"depth {count}, axis {axis} for indices of shape {places.shape}")
    run.room((*places.shape, count), raw(values).dtype)
    places = np.where(places < 0, places + count, places)
    hot = np.expand_dims(places, axis) == np.arange(count).reshape(
        [-1 if i == axis else 1 for i in range(places.ndim + 1)]
    )
    return np.where(hot, on, off)
