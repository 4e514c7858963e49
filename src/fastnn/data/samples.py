"""Arrays whose first axes are the same samples, as they are handed to functions that choose among those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import unmasked

Array = NDArray[Any]
Part = Array | tuple[Array, ...]


def samples(op: str, arrays: tuple[Any, ...]) -> tuple[tuple[Part, ...], int]:
    """The arguments as arrays, and their common length. A tuple of arrays stays a tuple: it is several inputs."""
    parts = tuple(_part(op, f"array {i}", array) for i, array in enumerate(arrays))
    shapes = [array.shape for array in leaves(parts)]
    if not shapes or any(not shape or shape[0] != shapes[0][0] for shape in shapes):
        raise ValueError(f"{op}: expected arrays of one length, got shapes {shapes}")
    return parts, shapes[0][0]


def _part(op: str, name: str, given: Any) -> Part:
    if isinstance(given, tuple) and any(isinstance(part, np.ndarray) for part in given):
        return tuple(np.asarray(unmasked(op, f"{name}.{i}", part)) for i, part in enumerate(given))
    return np.asarray(unmasked(op, name, given))


def leaves(part: Any) -> tuple[Array, ...]:
    """The arrays of nested tuples, or the array itself."""
    return tuple(array for each in part for array in leaves(each)) if isinstance(part, tuple) else (part,)


def mapped(function: Callable[[Any], Any], part: Any) -> Any:
    """What a function makes of an array, or of each array of nested tuples."""
    return tuple(mapped(function, each) for each in part) if isinstance(part, tuple) else function(part)


def joined(parts: Sequence[Any]) -> Any:
    """Arrays of batches one after another; tuples of arrays become a tuple."""
    if isinstance(parts[0], tuple):
        return tuple(map(joined, zip(*parts, strict=True)))
    return np.concatenate(parts)


def taken(parts: tuple[Part, ...], index: slice | NDArray[np.intp]) -> tuple[Part, ...]:
    """Some samples of each array: views by a slice, copies by an array of positions."""
    some: tuple[Part, ...] = mapped(lambda array: array[index], parts)
    return some


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
