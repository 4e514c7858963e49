"""What the arrays of a module may hold: new buffers, values from a state, the same values in another dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..autograd import Tensor
from ..autograd.changes import note_change
from ..checks.arrays import unmasked


class StateKeys(NamedTuple):
    """What `Module.load_state_dict` did not find in the state, and what it found there and had no use for."""

    missing: list[str]
    unexpected: list[str]


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


def load(owner: str, own: dict[str, np.ndarray], state: Any, strict: bool) -> StateKeys:
    """Copy the values of a state into the arrays that a module (``owner``: its class) has; see `Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: the state must be a mapping, got {type(state).__name__}")
    keys = StateKeys([k for k in own if k not in state], [k for k in state if k not in own])
    if strict and (keys.missing or keys.unexpected):
        raise ValueError(
            f"load_state_dict: the state does not fit {owner}: missing {keys.missing}, unexpected {keys.unexpected}"
        )
    checked = [(array, _fitting(name, state[name], array)) for name, array in own.items() if name in state]
    for array, values in _ready(checked):
        array[...] = values
        note_change(array)
    return keys


def _ready(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Targets with values of their dtypes, which lie where none of the targets does: no assignment fails any more."""
    bounds = np.array([byte_bounds(array) for array, _ in pairs], np.uint64).reshape(-1, 2)

    def ready(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        low, high = byte_bounds(values)
        overlaps = bool(((bounds[:, 0] < high) & (bounds[:, 1] > low)).any())
        return values.astype(dtype, copy=overlaps)

    return [(array, ready(values, array.dtype)) for array, values in pairs]


def _fitting(name: str, value: Any, array: np.ndarray) -> np.ndarray:
    values = np.asarray(value.data if isinstance(value, Tensor) else unmasked("load_state_dict", name, value))
    if values.shape != array.shape:
        raise ValueError(
            f"load_state_dict: {name} has shape {values.shape} in the state but {array.shape} in the module"
        )
    if not np.can_cast(values.dtype, array.dtype, "same_kind"):
        raise TypeError(
            f"load_state_dict: {name} has dtype {values.dtype} in the state but {array.dtype} in the module"
        )
    if not array.flags.writeable:
        raise ValueError(f"load_state_dict: {name} is read-only in the module")
    return values


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
