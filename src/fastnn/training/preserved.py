"""Looking at a model in the middle of its training, without changing the training."""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from operator import is_
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..autograd import Tensor
from ..autograd.changes import note_change
from ..autograd.graph import Target
from ..nn import Module
from ..nn.hooks import WithHooks
from ..optim import Optimizer
from ..optim.flat import FlatBlock
from ..optim.schedule import Kept, Stepped
from .generators import dictionary, find_generators, slots

# Objects of which all attributes are put back.
_OPENED = (Module, Tensor, Optimizer, FlatBlock, Target, Stepped, Kept, WithHooks)
_MAPPINGS = (dict, OrderedDict, defaultdict)
_SEQUENCES = (list, deque)
# Room that an optimiser keeps for gradients. What is there counts only where a parameter has it as its gradient.
_ROOM = {FlatBlock: "grad", Target: "array"}


def preserved(model: Module, optimizer: Optimizer | None = None, *others: Any) -> AbstractContextManager[None]:
    """Have a training go on afterwards as if nothing had happened inside, to the bit.

    Parameters
    ----------
    model : Module
        All attributes of all its modules are put back: parameters with their values, arrays, gradients and
        ``requires_grad``, buffers and other arrays, training flags, hooks, and the modules themselves.
    optimizer : Optimizer, optional
        Its state, counts of steps, groups and settings are put back, with the bases of its schedule.
    *others
        Further models, optimisers and schedules, and whatever has ``state_dict`` and ``load_state_dict``, as batches and
        callbacks do. Of other objects, and of what a callback or function refers to, only the generators are put back.

    Returns
    -------
    context manager
        For ``with``. What it puts back it also puts back after an exception.

    Raises
    ------
    TypeError
        If ``model`` is no module, or ``optimizer`` no optimiser.

    Notes
    -----
    Every `numpy.random.Generator` that the arguments hold goes on from its state of before. Parameters, gradients and the
    optimiser's state are copied once. Arrays are the same objects afterwards, and are written to only where their values
    changed; a graph that was recorded before and needs values that changed meanwhile is refused by its backward.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.training import preserved
    >>> net = fnn.nn.Sequential(fnn.nn.Linear(2, 2, rng=0), fnn.nn.Dropout(0.5, rng=1))
    >>> optimizer = fnn.optim.Adam(net.parameters(), lr=0.1)
    >>> before = net[0].weight.numpy().copy()
    >>> with preserved(net, optimizer):
    ...     net(np.ones((1, 2), np.float32)).sum().backward()
    ...     optimizer.step()
    ...     changed = bool((net[0].weight.numpy() != before).any())
    >>> changed, bool((net[0].weight.numpy() == before).all()), net[0].weight.grad
    (True, True, None)
    """
    if not isinstance(model, Module):
        raise TypeError(f"preserved: model must be a Module, got {type(model).__name__}")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(f"preserved: optimizer must be an Optimizer, got {type(optimizer).__name__}")
    return _preserved((model, optimizer, *others))


@contextmanager
def _preserved(objects: tuple[Any, ...]) -> Iterator[None]:
    snapshot = _Snapshot(objects)
    try:
        yield
    finally:
        snapshot.put_back()


class _Snapshot:
    """What objects hold, and the values of the arrays among it."""

    def __init__(self, objects: tuple[Any, ...]) -> None:
        self._seen: dict[int, Any] = {}  # holds the objects, so that no other one gets the id of one
        self._back = ExitStack()  # calls its functions from the last to the first, also where one raises
        arrays: list[np.ndarray] = []
        with_state: list[Any] = []
        self._open(objects, arrays, with_state)
        for array in _apart(arrays):
            self._back.callback(_put_back_values, array, array.copy())
        for rng in find_generators(*objects):
            bits = rng.bit_generator
            self._back.callback(_put_back_generator, bits, copy.deepcopy(bits.state), copy.deepcopy(bits.seed_seq))
        for x in with_state:  # these are put back first, since loading may change what other objects hold
            self._back.callback(x.load_state_dict, copy.deepcopy(x.state_dict()))

    def put_back(self) -> None:
        """Have everything as it was, and let go of it: an optimiser asks who else has its arrays."""
        self._back.close()
        self._seen.clear()

    def _open(self, objects: tuple[Any, ...], arrays: list[np.ndarray], with_state: list[Any]) -> None:
        pending = list(objects)
        while pending:
            x = pending.pop()
            if id(x) in self._seen:
                continue
            self._seen[id(x)] = x
            kind = type(x)
            if issubclass(kind, np.ndarray):
                arrays.append(x)
            elif kind is tuple:
                pending.extend(x)
            elif kind in _MAPPINGS:
                self._back.callback(_put_back_mapping, x, dict(x))
                pending.extend(x.values())
            elif kind in _SEQUENCES:
                self._back.callback(_put_back_sequence, x, list(x))
                pending.extend(x)
            elif kind is set:
                self._back.callback(_put_back_set, x, set(x))
            elif issubclass(kind, _OPENED):
                pending.extend(self._open_attributes(x))
            elif callable(getattr(kind, "state_dict", None)) and callable(getattr(kind, "load_state_dict", None)):
                with_state.append(x)

    def _open_attributes(self, x: Any) -> list[Any]:
        in_slots, own = slots(x), dictionary(x)
        self._back.callback(_put_back_slots, x, in_slots)
        self._back.callback(_put_back_mapping, own, dict(own))
        return [value for name, value in (in_slots | own).items() if name != _ROOM.get(type(x))]


def _apart(arrays: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Arrays that have all the memory that can be written to, without those that are a part of another one."""
    whole: dict[int, np.ndarray] = {}  # the largest array in each memory, by the id of the memory's owner
    for array in sorted(arrays, key=lambda array: -array.nbytes):
        if not array.flags.writeable or not array.nbytes:
            continue
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        largest = whole.setdefault(id(owner), array)
        if largest is array or not (largest.flags.forc and _is_within(byte_bounds(array), byte_bounds(largest))):
            yield array


def _is_within(part: tuple[int, int], bounds: tuple[int, int]) -> bool:
    return bounds[0] <= part[0] and part[1] <= bounds[1]


def _put_back_values(array: np.ndarray, values: np.ndarray) -> None:
    """Not where they are the same: a change is noted, and a graph that needs the values is refused then."""
    if array.dtype.hasobject or not np.array_equal(_bits(array), _bits(values)):
        array[...] = values
        note_change(array)


def _bits(array: np.ndarray) -> np.ndarray:
    """What an array holds as integers, as few as possible."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8 if array.nbytes % 8 else np.uint64)


def _put_back_generator(bits: Any, state: Any, seeds: Any) -> None:
    if getattr(bits.seed_seq, "n_children_spawned", 0) == getattr(seeds, "n_children_spawned", 0):
        bits.state = state
    else:
        bits.__setstate__((state, seeds))  # with the seeds: the next children are those spawned inside, again


def _put_back_mapping(mapping: dict[Any, Any], entries: dict[Any, Any]) -> None:
    if list(mapping) != list(entries):
        mapping.clear()
        mapping.update(entries)
        return
    for key, value in entries.items():
        if mapping[key] is not value:
            mapping[key] = value


def _put_back_sequence(sequence: Any, entries: list[Any]) -> None:
    if len(sequence) != len(entries) or not all(map(is_, sequence, entries)):
        sequence.clear()
        sequence.extend(entries)


def _put_back_set(members: set[Any], before: set[Any]) -> None:
    members.clear()
    members.update(before)


def _put_back_slots(x: Any, values: dict[str, Any]) -> None:
    now = slots(x)
    for name in now.keys() - values.keys():
        object.__delattr__(x, name)
    for name, value in values.items():
        if name not in now or now[name] is not value:
            object.__setattr__(x, name, value)
