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
    """Where an array is, who owns it, and the number of the last change there: -1 for none."""

    __slots__ = ("bounds", "number", "owner")

    def __init__(self, bounds: tuple[int, int], owner: np.ndarray) -> None:
        self.bounds = bounds
        self.number = -1
        self.owner = weakref.ref(owner)


def note_change(*arrays: np.ndarray) -> None:
    """Say that arrays were changed in place."""
    for array in arrays:
        note(memory_of(array))


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
        self._memories: dict[tuple[int, int, int], Memory] = {}
        self._limit = 1024
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def memory(self, array: np.ndarray) -> Memory:
        """What stands for the memory of an array as long as its owner lives."""
        bounds, owner = byte_bounds(array), _owner(array)
        key = (*bounds, id(owner))
        with self._lock:
            memory = self._memories.get(key)
            if memory is None or memory.owner() is not owner:
                memory = self._memories[key] = Memory(bounds, owner)
                if len(self._memories) > self._limit:
                    self._forget_the_dead()
        return memory

    def note(self, memory: Memory) -> None:
        """Say that what is there was changed in place."""
        with self._lock:
            self.last = memory.number = next_number()

    def _forget_the_dead(self) -> None:
        self._memories = {key: memory for key, memory in self._memories.items() if memory.owner() is not None}
        self._limit = max(1024, 2 * len(self._memories))

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
                memories = list(self._memories.values())
                known = self._known = _Known(
                    self.last,
                    np.array([memory.bounds[0] for memory in memories], np.uint64),
                    np.array([memory.bounds[1] for memory in memories], np.uint64),
                    np.array([memory.number for memory in memories], np.int64),
                    [memory.owner for memory in memories],
                )
        return known


changes = _Changes()
note, memory_of = changes.note, changes.memory
