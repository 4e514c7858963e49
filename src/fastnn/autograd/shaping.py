"""Operations that only move elements: indexing, reshaping, transposing, joining, changing the dtype."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .core import Tensor, raw, record
from .ops import Gradients, operand

_BASIC = (int, np.integer, slice, type(None), type(Ellipsis))


def _is_basic(index: Any) -> bool:
    items = index if type(index) is tuple else (index,)
    return all(isinstance(item, _BASIC) and item is not True and item is not False for item in items)


def getitem(x: Tensor, index: Any) -> Any:
    """``x[index]``, NumPy's basic and advanced indexing."""
    x_ = operand(x, "getitem")
    index = tuple(raw(item) for item in index) if type(index) is tuple else raw(index)

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        dx = np.zeros(x_.shape, dy.dtype)
        if _is_basic(index):
            dx[index] = dy
        else:
            np.add.at(dx, index, dy)  # an element taken twice gets both gradients
        return (dx,)

    return record("getitem", x_[index], (x,), vjp)


def reshape(x: Any, shape: int | Sequence[int]) -> Any:
    """The same elements in another shape; one extent may be -1."""
    x_ = operand(x, "reshape")
    return record("reshape", x_.reshape(shape), (x,), lambda dy, needs: (dy.reshape(x_.shape),))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order, by default reversed."""
    x_ = operand(x, "transpose")
    back = None if axes is None else np.argsort([axis % x_.ndim for axis in axes])
    return record("transpose", x_.transpose(axes), (x,), lambda dy, needs: (dy.transpose(back),))


def swapaxes(x: Any, first: int, second: int) -> Any:
    """Two axes exchanged."""
    x_ = operand(x, "swapaxes")
    return record("swapaxes", x_.swapaxes(first, second), (x,), lambda dy, needs: (dy.swapaxes(first, second),))


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Without axes of extent 1: all of them, or those named."""
    x_ = operand(x, "squeeze")
    return record("squeeze", x_.squeeze(axis), (x,), lambda dy, needs: (dy.reshape(x_.shape),))


def expand_dims(x: Any, axis: int | tuple[int, ...]) -> Any:
    """With new axes of extent 1 at the positions named."""
    x_ = operand(x, "expand_dims")
    return record("expand_dims", np.expand_dims(x_, axis), (x,), lambda dy, needs: (dy.reshape(x_.shape),))


def astype(x: Any, dtype: Any) -> Any:
    """In another dtype; the gradient comes back in the old one."""
    return record("astype", operand(x, "astype").astype(dtype), (x,), lambda dy, needs: (dy,))


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Tensors or arrays joined along an axis they have.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.concatenate([fnn.tensor([1.0]), [2.0, 3.0]])
    tensor([1., 2., 3.])
    """
    inputs = tuple(tensors)
    axis = operator.index(axis)
    arrays = [operand(x, "concatenate") for x in inputs]
    y = np.concatenate(arrays, axis=axis)

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        ends = np.cumsum([array.shape[axis] for array in arrays[:-1]])
        return tuple(part if need else None for part, need in zip(np.split(dy, ends, axis), needs, strict=True))

    return record("concatenate", y, inputs, vjp)


def stack(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Tensors or arrays of one shape joined along a new axis.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.stack([fnn.tensor([1.0, 2.0]), [3.0, 4.0]]).shape
    (2, 2)
    """
    inputs = tuple(tensors)
    y = np.stack([operand(x, "stack") for x in inputs], axis=axis)

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        parts = np.moveaxis(dy, axis, 0)
        return tuple(part if need else None for part, need in zip(parts, needs, strict=True))

    return record("stack", y, inputs, vjp)
