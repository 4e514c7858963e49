"""What memory was changed in place, and when.

An operation saves arrays for its backward, not copies of them. A change of a value is therefore noted with the addresses
it was written to and a number from the series that nodes are counted with: whoever saved something there before, under
whatever name (a view, `Tensor.detach`), must not use it. To record an operation costs nothing for that, and one which
saves no values is never refused.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

next_number = itertools.count().__next__  # nodes and changes are numbered in the order in which they happen

_MOST_FOREIGN = 1024  # how many changes of foreign memory are kept apart from each other
_MAX_WORK: Any = 1000  # how much work NumPy may do to find out whether two arrays have a byte in common


def _owner(array: np.ndarray) -> np.ndarray | None:
    """The array whose memory it is, which lives as long as any view; None for foreign memory.

    No array lives as long as foreign memory: whenever `numpy.frombuffer`, `numpy.from_dlpack` or `numpy.asarray` of a
    memoryview is called, a new one lies there, which refers to none of the others.
    """
    base = array.base
    while isinstance(base, np.ndarray):
        array, base = base, base.base
    ours = array.flags.owndata or type(base).__module__ == "fastnn._core"  # which gives larger results their memory
    return array if ours else None


class _Layout(NamedTuple):
    """Which of the bytes between its bounds an array has."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """For NumPy, which compares addresses: nobody reads what is there, if it is there still."""
        form = {"shape": self.shape, "strides": self.strides, "typestr": f"|V{self.itemsize}"}
        return {"data": (self.address, True), "version": 3, **form}


def _layout(array: np.ndarray, low: int) -> _Layout | None:
    """None for an array that has all bytes between its bounds, of which ``low`` is the first."""
    if array.flags.forc:
        return None
    forward = min(array.strides) >= 0
    address = low if forward else array.__array_interface__["data"][0]
    return _Layout(address, array.shape, array.strides, array.itemsize)


class Memory:
    """Where an array is, who owns it (None: foreign memory), and the number of the last change there: -1 for none."""

    __slots__ = ("bounds", "layout", "number", "owner")

    def __init__(self, bounds: tuple[int, int], layout: _Layout | None, owner: np.ndarray | None) -> None:
        self.bounds = bounds
        self.layout = layout
        self.number = -1
        self.owner = None if owner is None else weakref.ref(owner)

    def is_dead(self) -> bool:
        """Whether nothing is left of it, so that other arrays may lie there. Nobody knows that of foreign memory."""
        return self.owner is not None and self.owner() is None

    def meets(self, array: np.ndarray) -> bool:
        """Whether an array whose bounds overlap these has some of its bytes; True where that is hard to tell."""
        if self.layout is None and array.flags.forc:
            return True
        low, high = self.bounds
        layout = self.layout or _Layout(low, (high - low,), (1,), 1)
        try:
            return bool(np.shares_memory(np.asarray(layout), array, max_work=_MAX_WORK))
        except np.exceptions.TooHardError:
            return True


class _Known(NamedTuple):
    """The changes as arrays, to be compared all at once."""

    last: int
    low: np.ndarray
    high: np.ndarray
    number: np.ndarray
    memories: list[Memory]


class _Changes:
    """The last change of each piece of memory.

    A signal handler, or a ``__del__`` that the garbage collector calls, may note a change in the middle of a method that
    has the lock. No method therefore goes through a dictionary that such a change may have grown meanwhile, or puts an
    earlier number in the place of a later one.
    """

    def __init__(self) -> None:
        self.last = -1  # the number of the last change
        self._memories: dict[tuple[Any, ...], Memory] = {}
        self._limit = 1024
        self.start_in_child()

    def start_in_child(self) -> None:
        """Have a lock of one's own in a forked process: another thread of the parent may have had the parent's."""
        self._lock = threading.RLock()
        self._known: _Known | None = None

    def memory(self, array: np.ndarray) -> Memory:
        """What stands for the memory of an array as long as its owner lives; for foreign memory, until a next call."""
        bounds, owner = byte_bounds(array), _owner(array)
        layout = _layout(array, bounds[0])
        key = (*bounds, layout, None if owner is None else id(owner))
        with self._lock:
            memory = self._memories.get(key)
            if memory is None or memory.is_dead():
                if len(self._memories) >= self._limit:
                    self._forget()
                memory = self._memories[key] = Memory(bounds, layout, owner)
        return memory

    def note(self, memory: Memory) -> None:
        """Say that what is there was changed in place."""
        with self._lock:
            number = next_number()
            # Not by max, since no other code may run between the comparison and the assignment.
            if number > memory.number:  # noqa: PLR1730
                memory.number = number
            if number > self.last:  # noqa: PLR1730
                self.last = number

    def note_change(self, *arrays: np.ndarray) -> None:
        """Say that arrays were changed in place."""
        with self._lock:
            for array in arrays:
                self.note(self.memory(array))

    def _forget(self) -> None:
        """Drop what is dead, and join the oldest changes of foreign memory where there are too many."""
        foreign: list[tuple[int, Any]] = []
        for key in list(self._memories):
            memory = self._memories.get(key)
            if memory is None:
                continue
            if memory.is_dead():
                self._memories.pop(key, None)
            elif memory.owner is None:
                foreign.append((memory.number, key))
        if len(foreign) > _MOST_FOREIGN:
            foreign.sort(key=lambda pair: pair[0])
            self._join([key for _, key in foreign[: len(foreign) // 2]])
        self._limit = max(1024, 2 * len(self._memories))

    def _join(self, keys: list[Any]) -> None:
        """Have one change, the latest, of all the memory from the first to the last byte: too much, but nothing is lost.

        That concerns only backwards of what was recorded before hundreds of later changes elsewhere.
        """
        parts = [part for key in keys if (part := self._memories.pop(key, None)) is not None]
        bounds = min(part.bounds[0] for part in parts), max(part.bounds[1] for part in parts)
        joint = self._memories.setdefault((*bounds, None, None), Memory(bounds, None, None))
        joint.number = max(joint.number, *(part.number for part in parts))

    def first_after(self, number: int, arrays: Iterable[np.ndarray]) -> np.ndarray | None:
        """The first of the arrays that was changed after ``number``, as a whole or in part."""
        known = self._as_arrays()
        for array in arrays:
            low, high = byte_bounds(array)
            found = (known.low < high) & (known.high > low) & (known.number > number)
            for i in np.flatnonzero(found):
                memory = known.memories[i]
                # The memory may be that of an array that has died: its change says nothing of a younger array there.
                if not memory.is_dead() and memory.meets(array):
                    return array
        return None

    def _as_arrays(self) -> _Known:
        known = self._known
        if known is None or known.last != self.last:
            with self._lock:
                last, memories = self.last, list(self._memories.values())
                known = self._known = _Known(
                    last,
                    np.array([memory.bounds[0] for memory in memories], np.uint64),
                    np.array([memory.bounds[1] for memory in memories], np.uint64),
                    np.array([memory.number for memory in memories], np.int64),
                    memories,
                )
        return known


changes = _Changes()
note, memory_of, note_change = changes.note, changes.memory, changes.note_change
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=changes.start_in_child)
