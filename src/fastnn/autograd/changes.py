"""What memory was changed in place, and when.

An operation saves arrays for its backward, not copies of them. A change of a value is therefore noted with the addresses
it was written to and a number from the series that nodes are counted with: whoever saved something there before, under
whatever name (a view, `Tensor.detach`), must not use it. To record an operation costs nothing for that, and one which
saves no values is never refused.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

next_number = itertools.count().__next__  # of nodes and changes


def _owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory it is; it lives as long as any view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Memory:
    """Where an array is, for one that is changed again and again."""

    __slots__ = ("array", "bounds", "owner")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.bounds = byte_bounds(array)
        self.owner = weakref.ref(_owner(array))

    def __reduce__(self) -> tuple[type[Memory], tuple[np.ndarray]]:
        return Memory, (self.array,)  # a copy is where the copied array is


def note_change(*arrays: np.ndarray) -> None:
    """Say that arrays were changed in place."""
    for array in arrays:
        changes.note(Memory(array))


class _Known(NamedTuple):
    """The changes as arrays, to be compared all at once."""

    last: int
    low: np.ndarray
    high: np.ndarray
    number: np.ndarray
    owners: list[weakref.ref[np.ndarray]]


class _Changes:
    """The last change of each piece of memory."""

    def __init__(self) -> None:
        self.last = -1  # the number of the last one
        self._numbers: dict[tuple[int, int], tuple[int, weakref.ref[np.ndarray]]] = {}
        self._limit = 1024
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def note(self, memory: Memory) -> None:
        """Say that what is there was changed in place."""
        with self._lock:
            self.last = number = next_number()
            self._numbers[memory.bounds] = number, memory.owner
            if len(self._numbers) > self._limit:
                self._forget_the_dead()

    def _forget_the_dead(self) -> None:
        self._numbers = {at: change for at, change in self._numbers.items() if change[1]() is not None}
        self._limit = max(1024, 2 * len(self._numbers))

    def first_after(self, number: int, arrays: Iterable[np.ndarray]) -> np.ndarray | None:
        """The first of the arrays that was changed after ``number``, as a whole or in part."""
        known = self._as_arrays()
        for array in arrays:
            low, high = byte_bounds(array)
            found = (known.low < high) & (known.high > low) & (known.number > number)
            # The array may be younger than a change of what was in its place before: then that one's owner is dead.
            if found.any() and any(known.owners[i]() is not None for i in np.flatnonzero(found)):
                return array
        return None

    def _as_arrays(self) -> _Known:
        known = self._known
        if known is None or known.last != self.last:
            with self._lock:
                places, values = list(self._numbers), list(self._numbers.values())
                known = self._known = _Known(
                    self.last,
                    np.array([low for low, _ in places], np.uint64),
                    np.array([high for _, high in places], np.uint64),
                    np.array([number for number, _ in values], np.int64),
                    [owner for _, owner in values],
                )
        return known


changes = _Changes()
note = changes.note
