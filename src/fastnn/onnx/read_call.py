"""What the nodes of one call share: the mode, dtypes, random numbers, and how much memory a node may make of a few numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

# Of the numbers of onnx.TensorProto.DataType, those of arrays that NumPy has. Floats of 16 bits are computed in float32.
HALVES = (10, 16)
DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32), 2: np.dtype(np.uint8), 3: np.dtype(np.int8), 4: np.dtype(np.uint16), 5: np.dtype(np.int16),
    6: np.dtype(np.int32), 7: np.dtype(np.int64), 9: np.dtype(np.bool_), 10: np.dtype(np.float32),
    11: np.dtype(np.float64), 12: np.dtype(np.uint32), 13: np.dtype(np.uint64), 16: np.dtype(np.float32),
}  # fmt: skip

# What values may take that are needed at one time: so many times what the model was given, which a large batch of a small
# network does not reach, or so many bytes.
GROWTH = 1024
LEAST = 1 << 24


def refuse_type(attribute: str) -> Callable[..., str | None]:
    """What says why a node is not computed whose attribute names a data type that is not in the table."""

    def refuse(**attributes: Any) -> str | None:
        code = attributes.get(attribute)
        return None if code is None or code in DTYPES else f"{attribute}: data type {code} is not supported"

    return refuse


class Run:
    """The state of one call of a model."""

    def __init__(self, training: bool, rng: Any, floats: np.dtype[Any] | None) -> None:
        self.training = training
        self.rng = rng
        self._floats = floats
        self._given = 0
        self._held: dict[str, int] = {}
        self._total = 0

    def give(self, size: int) -> None:
        """Count bytes of an input or a weight."""
        self._given += size

    def hold(self, name: str, size: int) -> None:
        """Count bytes of a result."""
        self._held[name] = size
        self._total += size
        self._check(0, "values")

    def free(self, name: str) -> None:
        """Stop counting a value, if it is a result."""
        self._total -= self._held.pop(name, 0)

    def dtype(self, code: int) -> np.dtype[Any]:
        """The dtype of a number of ONNX's, after `Module.astype` that one for all floats."""
        dtype = DTYPES.get(code)
        if dtype is None:
            raise TypeError(f"data type {code} is not supported")
        return self._floats if self._floats is not None and dtype.kind == "f" else dtype

    def floats(self, array: np.ndarray) -> np.ndarray:
        """An array, in the dtype for floats where it holds such."""
        return array if array.dtype.kind != "f" or self._floats is None else array.astype(self._floats, copy=False)

    def room(self, shape: Any, dtype: Any) -> None:
        """Refuse a result before it is made that is much larger than all that the model was given.

        Few bytes in a file may ask for any size: a shape that is a constant, the repeats of a tile, the width of a border.
        """
        extents = tuple(map(int, shape))
        if any(n < 0 for n in extents):
            raise ValueError(f"the shape {extents} has a negative extent")
        self._check(math.prod(extents) * np.dtype(dtype).itemsize, f"a result of shape {extents}")

    def _check(self, size: int, what: str) -> None:
        if size + self._total > max(GROWTH * self._given, LEAST):
            raise ValueError(
                f"{what} would take {size + self._total} bytes of memory, more than {GROWTH} times those of all inputs and weights"
            )
