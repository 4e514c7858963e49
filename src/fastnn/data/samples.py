"""Arrays whose first axes are the same samples, as they are handed to functions that choose among those."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks.arrays import unmasked

Array = NDArray[Any]
Part = Array | tuple[Array, ...]


def samples(op: str, arrays: tuple[Any, ...]) -> tuple[tuple[Part, ...], int]:
    """The arguments as arrays, and their common length. A tuple of arrays stays a tuple: it is several inputs."""
    parts = tuple(_part(op, f"array {i}", array) for i, array in enumerate(arrays))
    shapes = [array.shape for part in parts for array in leaves(part)]
    if not shapes or any(not shape or shape[0] != shapes[0][0] for shape in shapes):
        raise ValueError(f"{op}: expected arrays of one length, got shapes {shapes}")
    return parts, shapes[0][0]


def _part(op: str, name: str, given: Any) -> Part:
    if isinstance(given, tuple) and any(isinstance(part, np.ndarray) for part in given):
        return tuple(np.asarray(unmasked(op, f"{name}.{i}", part)) for i, part in enumerate(given))
    return np.asarray(unmasked(op, name, given))


def leaves(part: Part) -> tuple[Array, ...]:
    """The arrays of an argument."""
    return part if isinstance(part, tuple) else (part,)


def taken(parts: tuple[Part, ...], index: slice | NDArray[np.intp]) -> tuple[Part, ...]:
    """Some samples of each array: views by a slice, copies by an array of positions."""
    return tuple(tuple(array[index] for array in part) if isinstance(part, tuple) else part[index] for part in parts)


def classes_of(op: str, name: str, value: Any, n: int) -> tuple[Array, NDArray[np.intp]]:
    """The different values of a label per sample, sorted, and the number of each sample's among them."""
    labels = np.asarray(unmasked(op, name, value))
    if labels.shape != (n,):
        hint = "; one-hot rows become classes by np.argmax(…, axis=1)" if labels.ndim == 2 else ""
        raise ValueError(f"{op}: {name} must have shape ({n},), one entry per sample, got {labels.shape}{hint}")
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:  # objects that cannot be sorted
        raise TypeError(f"{op}: {name} must hold values of one kind, such as integers or strings: {error}") from None
    return classes, codes
