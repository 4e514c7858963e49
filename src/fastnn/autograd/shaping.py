"""Operations that only move elements: indexing, reshaping, transposing, joining, changing the dtype."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from .._types import Value
from ..checks.arrays import unmasked
from .core import raw
from .ops import Gradients, operand, recorded

if TYPE_CHECKING:
    from .tensors import Tensor

_FEW = 1024  # up to so many elements, NumPy's add.at takes less time than to find the numbers of their rows
Move = Callable[[np.ndarray], np.ndarray]
_NOT_ARRAYS = (slice, type(None), type(Ellipsis))
_PLAIN_ITEMS = frozenset((int, slice, type(None), type(Ellipsis)))
_BASIC = (int, np.integer, *_NOT_ARRAYS)


def _is_basic(index: Any) -> bool:
    items = index if type(index) is tuple else (index,)
    return all(isinstance(item, _BASIC) and item is not True and item is not False for item in items)


def plain_index(name: str, index: Any) -> Any:
    """An index with arrays in the place of tensors."""
    if type(index) is not tuple:
        return index if type(index) in _PLAIN_ITEMS else unmasked(name, "the index", raw(index))
    return tuple(item if type(item) in _PLAIN_ITEMS else unmasked(name, "the index", raw(item)) for item in index)


def part(x: np.ndarray, index: Any) -> np.ndarray:
    """The elements of ``x`` that an assignment to ``x[index]`` writes to, as a view, or all of it where they form none."""
    if not _is_basic(index):
        return x
    items = index if type(index) is tuple else (index,)
    # With an Ellipsis NumPy gives a view where it would give a scalar.
    view: np.ndarray = x[items if any(item is Ellipsis for item in items) else (*items, Ellipsis)]
    return view


def _moved(name: str, x: Any, x_: np.ndarray, move: Move, back: Move, arguments: tuple[Any, ...] = ()) -> Tensor:
    """Record an operation that is linear: its tangent moves as the values do, its gradient moves ``back``."""
    return recorded(name, move(x_), (x,), lambda dy, needs: (back(dy),), lambda tangents: move(tangents[0]), arguments)


def _or_zeros(tangent: np.ndarray | None, like: Any) -> Any:
    return np.zeros_like(like) if tangent is None else tangent


def _put_back(values: np.ndarray, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of a shape with ``values`` where ``index`` took them from; an element taken twice gets both."""
    x: np.ndarray
    arrays = [] if _is_basic(index) else _arrays_of(index)
    if arrays and values.size > _FEW and (numbers := _rows(index, arrays, shape)) is not None:
        table = values.reshape(numbers.size, -1)
        count = math.prod(shape[: len(arrays)])
        if table.shape[1] > 1:
            x = backend.current().embedding_backward(table, numbers, count, -1)
        else:
            x = np.zeros(count, values.dtype)
            np.add.at(x, numbers, table.reshape(-1))  # NumPy is quick at this along one axis
        return x.reshape(shape)
    x = np.zeros(shape, values.dtype)
    if all(array.dtype == bool for array in arrays):  # masks take no element twice
        x[index] = values
    elif x.ndim > 32:  # add.at of NumPy 2.4 crashes there
        places = np.arange(x.size).reshape(shape)[index]
        np.add.at(x.reshape(-1), places.reshape(-1), values.reshape(-1))
    else:
        np.add.at(x, index, values)
    return x


def _arrays_of(index: Any) -> list[np.ndarray]:
    """What an index has besides slices, None and Ellipsis: arrays, and numbers, which count as such beside arrays."""
    items = index if type(index) is tuple else (index,)
    return [np.asarray(item) for item in items if not isinstance(item, _NOT_ARRAYS)]


def _rows(index: Any, arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray | None:
    """The numbers, flat, of what an index by integers takes of the first axes; None for another index, or no elements."""
    if type(index) is tuple:
        behind = index[len(arrays) :]
        if any(isinstance(item, _NOT_ARRAYS) for item in index[: len(arrays)]) or not all(map(_is_all, behind)):
            return None
    if 0 in shape or any(array.dtype.kind not in "iu" for array in arrays):
        return None
    numbers: Any = 0
    for array, extent in zip(arrays, shape, strict=False):
        place = array.astype(np.int64)
        numbers = np.where(place < 0, place + extent, place) + numbers * extent
    return np.asarray(numbers).reshape(-1) if numbers.size else None


def _is_all(item: Any) -> bool:
    return item is Ellipsis or (isinstance(item, slice) and item == slice(None))


def getitem(x: Any, index: Any) -> Tensor:
    """``x[index]``, NumPy's basic and advanced indexing."""
    x_ = operand(x, "getitem")
    shape = x_.shape  # the backward needs no values, so it must not keep them
    index = plain_index("getitem", index)

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        return (_put_back(dy, index, shape),)

    return recorded("getitem", x_[index], (x,), vjp, lambda t: t[0][index], (index,))


def reshape(x: Any, shape: Any) -> Tensor:
    """The same elements in another shape; one extent may be -1."""
    x_ = operand(x, "reshape")
    before = x_.shape
    return _moved("reshape", x, x_, lambda v: v.reshape(shape), lambda dy: dy.reshape(before))


def transpose(x: Any, axes: Any = None) -> Tensor:
    """The axes in another order, by default reversed."""
    x_ = operand(x, "transpose")
    ndim = x_.ndim

    def back(dy: np.ndarray) -> np.ndarray:
        return dy.transpose(None if axes is None else np.argsort([axis % ndim for axis in axes]))

    try:
        return _moved("transpose", x, x_, lambda v: v.transpose(axes), back, (axes,))
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"transpose: {error}: got {axes} for shape {x_.shape}; two integers, x.transpose(i, j), exchange two axes"
        ) from None


def swapaxes(x: Any, first: Any, second: Any, name: str = "swapaxes") -> Tensor:
    """Two axes exchanged; by the method ``name``."""
    x_ = operand(x, name)
    try:
        return _moved(
            name, x, x_, lambda v: v.swapaxes(first, second), lambda dy: dy.swapaxes(first, second), (first, second)
        )
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}: got {first} and {second} for shape {x_.shape}") from None


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Without axes of extent 1: all of them, or those named."""
    x_ = operand(x, "squeeze")
    before = x_.shape
    return _moved("squeeze", x, x_, lambda v: v.squeeze(axis), lambda dy: dy.reshape(before), (axis,))


def expand_dims(x: Any, axis: int | tuple[int, ...]) -> Tensor:
    """With new axes of extent 1 at the positions named."""
    x_ = operand(x, "expand_dims")
    before = x_.shape
    return _moved("expand_dims", x, x_, lambda v: np.expand_dims(v, axis), lambda dy: dy.reshape(before), (axis,))


def astype(x: Any, dtype: Any) -> Tensor:
    """In another dtype; the gradient comes back in the old one."""
    return _moved("astype", x, operand(x, "astype"), lambda v: v.astype(dtype), lambda dy: dy)


def clone(x: Any) -> Tensor:
    """A C-contiguous copy."""
    return _moved("clone", x, operand(x, "clone"), lambda v: v.copy(), lambda dy: dy)


def concatenate(tensors: Sequence[Value], axis: int = 0) -> Value:
    """Tensors or arrays joined along an axis they have.

    Parameters
    ----------
    tensors : sequence of array_like or Tensor
        At least one; of one shape but for that axis. Dtypes as NumPy promotes them.
    axis : int
        The axis to join along, counted from the end if negative.

    Returns
    -------
    ndarray or Tensor
        A tensor if one of ``tensors`` is.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans, or an axis that is not an integer.
    ValueError
        For an empty sequence, shapes that don't fit, or an axis that isn't there.

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
    extents = [array.shape[axis] for array in arrays]

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        ends = np.cumsum(extents[:-1])
        return tuple(part if need else None for part, need in zip(np.split(dy, ends, axis), needs, strict=True))

    def jvp(tangents: Sequence[Any]) -> np.ndarray:
        return np.concatenate([_or_zeros(t, array) for t, array in zip(tangents, arrays, strict=True)], axis=axis)

    return recorded("concatenate", y, inputs, vjp, jvp, (axis,))


def stack(tensors: Sequence[Value], axis: int = 0) -> Value:
    """Tensors or arrays of one shape joined along a new axis.

    Parameters
    ----------
    tensors : sequence of array_like or Tensor
        At least one. Dtypes as NumPy promotes them.
    axis : int
        Where the new axis is in the result, counted from the end if negative.

    Returns
    -------
    ndarray or Tensor
        With one axis more; a tensor if one of ``tensors`` is.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans, or an axis that is not an integer.
    ValueError
        For an empty sequence, shapes that differ, or an axis out of range.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.stack([fnn.tensor([1.0, 2.0]), [3.0, 4.0]]).shape
    (2, 2)
    """
    inputs = tuple(tensors)
    arrays = [operand(x, "stack") for x in inputs]
    y = np.stack(arrays, axis=axis)

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        parts = np.moveaxis(dy, axis, 0)
        return tuple(part if need else None for part, need in zip(parts, needs, strict=True))

    def jvp(tangents: Sequence[Any]) -> np.ndarray:
        return np.stack([_or_zeros(t, array) for t, array in zip(tangents, arrays, strict=True)], axis=axis)

    return recorded("stack", y, inputs, vjp, jvp, (axis,))
