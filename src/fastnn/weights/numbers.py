"""Numbers as files hold them, read in portions into arrays of types that NumPy has."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .error import WeightsError

STORED = {
    "bool": "u1",
    "uint8": "u1",
    "int8": "i1",
    "uint16": "u2",
    "int16": "i2",
    "uint32": "u4",
    "int32": "i4",
    "uint64": "u8",
    "int64": "i8",
    "float16": "f2",
    "bfloat16": "u2",
    "float32": "f4",
    "float64": "f8",
    "complex64": "c8",
    "complex128": "c16",
}
"""How NumPy names what lies in the file, by PyTorch's names of types."""

PORTION = 1 << 20
"""Numbers that are read at a time, so that reading takes little memory beside the arrays."""


def stored_bytes(kind: str) -> int:
    """Bytes of one number in a file.

    >>> from fastnn.weights.numbers import stored_bytes
    >>> stored_bytes("bfloat16")
    2
    """
    return np.dtype(STORED[kind]).itemsize


def dtype_of(kind: str) -> np.dtype[Any]:
    """The dtype of the array that comes of numbers of a kind: float32 for the two kinds of 16 bits.

    >>> from fastnn.weights.numbers import dtype_of
    >>> dtype_of("bfloat16"), dtype_of("int64")
    (dtype('float32'), dtype('int64'))
    """
    if kind in ("float16", "bfloat16"):
        return np.dtype(np.float32)
    return np.dtype(bool if kind == "bool" else STORED[kind])


class Numbers:
    """Numbers of one kind that lie one after another in a file.

    Parameters
    ----------
    file : file
        Open for reading, in bytes.
    position : int
        Where the first number begins.
    kind : str
        A key of `STORED`.
    order : {"<", ">"}
        Whether a number begins with its lowest byte or with its highest.
    """

    def __init__(self, file: IO[bytes], position: int, kind: str, order: str = "<") -> None:
        self._file = file
        self._position = position
        self._kind = kind
        self._stored = np.dtype(STORED[kind]).newbyteorder(order)  # type: ignore[arg-type]

    def read(self, start: int, count: int) -> NDArray[Any]:
        """Some of the numbers, by their place and count, as an array."""
        data = read_bytes(self._file, self._position + start * self._stored.itemsize, count * self._stored.itemsize)
        values = data.view(self._stored)
        if self._kind == "bool":
            if (values > 1).any():
                raise WeightsError("is damaged: a truth value in it is neither 0 nor 1")
            return values.view(np.bool_)
        if self._kind == "bfloat16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(invalid="ignore"):  # a signalling NaN of 16 bits
            return values.astype(dtype_of(self._kind), copy=False)

    def array(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """The numbers from the first one on, as an array in C order."""
        array = empty(shape, self._kind)
        flat = array.reshape(-1)
        for start in range(0, flat.size, PORTION):
            portion = flat[start : start + PORTION]
            portion[...] = self.read(start, portion.size)
        return array

    def strided(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
        """Numbers at ``offset`` and on by strides, which count numbers, as an array in C order."""
        array = empty(shape, self._kind)
        if array.size:
            _gather(self.read, array, offset, strides)
        return array


def read_bytes(file: IO[bytes], position: int, count: int) -> NDArray[np.uint8]:
    """Bytes of a file; an error where it ends before."""
    data = np.empty(count, np.uint8)
    file.seek(position)
    if file.readinto(data.data) != count:  # type: ignore[attr-defined]
        raise WeightsError("was cut short while it was read")
    return data


def empty(shape: tuple[int, ...], kind: str) -> NDArray[Any]:
    """A new array; an error for a shape that NumPy cannot have."""
    try:
        return np.empty(shape, dtype_of(kind))
    except (ValueError, OverflowError):
        raise WeightsError(f"holds an array of shape {str(shape)[:100]}, which is beyond NumPy's limits") from None


def span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many numbers lie from the first to the last element of a view, which has some.

    >>> from fastnn.weights.numbers import span
    >>> span((2, 3), (10, 1))
    13
    """
    return 1 + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))


def _gather(
    read: Callable[[int, int], NDArray[Any]], array: NDArray[Any], offset: int, strides: tuple[int, ...]
) -> None:
    """Fill an array from a view, in portions along the axis on which it reaches farthest."""
    length = span(array.shape, strides)
    if length <= PORTION:
        values = read(offset, length)
        steps = [stride * values.itemsize for stride in strides]
        array[...] = np.lib.stride_tricks.as_strided(values, array.shape, steps, writeable=False)
        return
    axis = max((i for i, extent in enumerate(array.shape) if extent > 1), key=lambda i: strides[i])
    within = length - (array.shape[axis] - 1) * strides[axis]
    rows = max(1, (PORTION - within) // strides[axis] + 1)
    moved = np.moveaxis(array, axis, 0)
    order = (strides[axis], *strides[:axis], *strides[axis + 1 :])
    for start in range(0, len(moved), rows):
        _gather(read, moved[start : start + rows], offset + start * strides[axis], order)
