"""What the arrays of a module may hold: new buffers, and the same values in another dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ..autograd import Tensor
from ..checks.arrays import unmasked


def as_buffer(owner: str, name: str, value: Any) -> np.ndarray:
    """An array, where NumPy made a scalar of a result without axes; or that of a tensor, or of an array's subclass."""
    if isinstance(value, Tensor) and value.requires_grad:
        raise TypeError(
            f"{owner}: buffer {name!r} is not trained, so a tensor that requires a gradient would lose it; assign x.numpy()"
        )
    array = np.asarray(unmasked(owner, f"buffer {name!r}", value))
    if array.dtype.kind not in "biufc":
        refuse_as_buffer(owner, name, value)
    return array


def refuse_as_buffer(owner: str, name: str, value: Any) -> NoReturn:
    raise TypeError(f"{owner}: buffer {name!r} must be an array, got {type(value).__name__}")


def converter(dtype: np.dtype[Any]) -> Callable[[np.ndarray], np.ndarray]:
    """A function that gives floating-point arrays another dtype, the same one each time for those that several share."""
    done: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # keeps old arrays too, so that no other one gets their id

    def converted(array: np.ndarray) -> np.ndarray:
        if array.dtype.kind != "f" or array.dtype == dtype:
            return array
        if id(array) not in done:
            done[id(array)] = array, array.astype(dtype)
        return done[id(array)][1]

    return converted
