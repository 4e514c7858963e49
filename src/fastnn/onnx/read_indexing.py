"""ONNX's ops that take elements from places, and put elements there."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import differentiable, raw, shaping
from .read_table import axis_of, is_float, op, text

_COMBINE: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _places(index: Any, extent: int) -> np.ndarray:
    """Numbers from 0 on; those below count from the end."""
    places = np.asarray(raw(index))
    if places.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got {places.dtype}")
    places = places.astype(np.int64)
    if ((places < -extent) | (places >= extent)).any():
        raise ValueError(f"an index is out of range for {extent} elements")
    return np.where(places < 0, places + extent, places)


@op("Gather")
def _gather(x: Any, indices: Any, /, *, run: Any, axis: int = 0) -> Any:
    axis = axis_of(axis, x.ndim)
    places = _places(indices, x.shape[axis])
    run.room((*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]), raw(x).dtype)
    return shaping.getitem(x, (*[slice(None)] * axis, places))


def _along(index: Any, shape: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    places = _places(index, shape[axis])
    if places.ndim != len(shape) or any(
        n > m for i, (n, m) in enumerate(zip(places.shape, shape, strict=True)) if i != axis
    ):
        raise ValueError(f"indices of shape {places.shape} for values of shape {shape}")
    grid: list[Any] = list(np.ogrid[tuple(slice(n) for n in places.shape)])
    grid[axis] = places
    return tuple(grid)


@op("GatherElements")
def _gather_elements(x: Any, indices: Any, /, *, axis: int = 0) -> Any:
    return shaping.getitem(x, _along(indices, x.shape, axis_of(axis, x.ndim)))


def _tuples(indices: Any, shape: tuple[int, ...], batch: int) -> tuple[Any, ...]:
    """An index of the leading axes of a shape, from the rows of the last axis of indices, below ``batch`` axes in common."""
    index = np.asarray(raw(indices))
    if index.ndim < 1 or not 0 <= batch < index.ndim or index.shape[:batch] != shape[:batch]:
        raise ValueError(f"indices of shape {index.shape} for values of shape {shape}, batch_dims={batch}")
    length = index.shape[-1]
    if batch + length > len(shape):
        raise ValueError(f"index tuples of {length} for values of shape {shape}")
    places = tuple(_places(index[..., i], shape[batch + i]) for i in range(length))
    lead = np.ogrid[tuple(slice(n) for n in index.shape[:-1])][:batch] if batch else ()
    return (*lead, *places)


@op("GatherND")
def _gather_nd(x: Any, indices: Any, /, *, batch_dims: int = 0) -> Any:
    return shaping.getitem(x, _tuples(indices, x.shape, batch_dims))


def _scattered(x: np.ndarray, u: np.ndarray, *, index: Any, how: str) -> tuple[np.ndarray, Any]:
    y = x.copy()
    u = np.broadcast_to(u, y[index].shape)
    if how == "none":
        y[index] = u
    else:
        _COMBINE[how].at(y, index, u)
    return y, (index, how)


def _scatter_gradients(saved: Any, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    index, how = saved
    if how not in ("none", "add"):
        raise NotImplementedError(f"reduction={how!r} has no gradient here")
    dx = dy.copy()
    if how == "none":
        dx[index] = 0
    return dx, dy[index]


def _scatter_tangents(saved: Any, tx: np.ndarray, tu: np.ndarray) -> np.ndarray:
    if saved[1] not in ("none", "add"):
        raise NotImplementedError(f"reduction={saved[1]!r} has no derivative here")
    return _scattered(tx, tu, index=saved[0], how=saved[1])[0]


_SCATTER = differentiable(_scattered, _scatter_gradients, _scatter_tangents, name="Scatter")


def _scatter(x: Any, updates: Any, index: tuple[Any, ...], reduction: Any) -> Any:
    how = text(reduction)
    if how != "none" and how not in _COMBINE:
        raise ValueError(f"reduction={how!r} is not supported")
    if raw(x)[index].shape != updates.shape:
        raise ValueError(f"updates of shape {updates.shape} for places of shape {raw(x)[index].shape}")
    if is_float(x):
        return _SCATTER(x, updates, index=index, how=how)
    return _scattered(x, raw(updates), index=index, how=how)[0]


@op("ScatterElements")
def _scatter_elements(x: Any, indices: Any, updates: Any, /, *, axis: int = 0, reduction: Any = "none") -> Any:
    return _scatter(x, updates, _along(indices, x.shape, axis_of(axis, x.ndim)), reduction)


@op("ScatterND")
def _scatter_nd(x: Any, indices: Any, updates: Any, /, *, reduction: Any = "none") -> Any:
    return _scatter(x, updates, _tuples(indices, x.shape, 0), reduction)


@op("NonZero")
def _nonzero(x: Any, /) -> Any:
    x = raw(x)
    places = np.array(np.nonzero(np.atleast_1d(x)), np.int64)
    return places[: x.ndim]  # of a scalar no row is left


@op("Compress")
def _compress(x: Any, condition: Any, /, *, axis: int | None = None) -> Any:
    x = shaping.reshape(x, -1) if axis is None else x
    places = np.nonzero(raw(condition))[0]
    along = axis_of(axis or 0, x.ndim)
    if places.size and places[-1] >= x.shape[along]:
        raise ValueError(f"the condition is longer than {x.shape[along]} elements")
    return shaping.getitem(x, (*[slice(None)] * along, places))
