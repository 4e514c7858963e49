"""Values of a state, copied into the arrays of a module: all of them, or none where something does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .._files import listed
from ..autograd import Tensor
from ..autograd.changes import note_change
from ..checks.arrays import unmasked
from .state_names import Rename, Renaming, hints

_MOST_NAMES = 20  # of each list in an error


class StateKeys(NamedTuple):
    """What `Module.load_state_dict` did not find in the state, and what it found there and had no use for."""

    missing: list[str]
    unexpected: list[str]


def load(
    owner: str, own: dict[str, np.ndarray], state: Any, strict: bool, rename: Rename | None, prefix: str
) -> StateKeys:
    """Copy the values of a state into the arrays that a module (``owner``: its class) has; see `Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: the state must be a mapping, got {type(state).__name__}")
    renaming = Renaming(rename, prefix)
    names = renaming.names(state)
    given = {new: name for name, new in names.items()}
    values = {new: _array(name, state[name]) for new, name in given.items() if new in own}
    keys = StateKeys([name for name in own if name not in given], [name for name in names if names[name] not in own])
    wrong = [(name, *problem) for name, array in values.items() for problem in _problems(array, own[name])]
    if wrong or (strict and (keys.missing or keys.unexpected or renaming.unused())):
        found = [*_names_that_differ(keys, renaming, own, state, names)] if strict else []
        found += [f"{name} {problem}" for name, _, problem in wrong[:_MOST_NAMES]]
        found += [f"{len(wrong) - _MOST_NAMES} more do not fit"] if len(wrong) > _MOST_NAMES else []
        only_types = len(found) == len(wrong) and all(kind is TypeError for _, kind, _ in wrong)
        raise (TypeError if only_types else ValueError)(
            f"load_state_dict: the state does not fit {owner}: {'; '.join(found)}"
        )
    for array, ready in _ready([(own[name], array) for name, array in values.items()]):
        array[...] = ready
        note_change(array)
    return keys


def _names_that_differ(
    keys: StateKeys, renaming: Renaming, own: dict[str, np.ndarray], state: Mapping[str, Any], names: dict[Any, Any]
) -> Iterator[str]:
    """Missing and unexpected names, in words, with what may be meant."""
    if keys.missing:
        yield f"missing {listed(keys.missing, _MOST_NAMES)}"
    if keys.unexpected:
        yield f"unexpected {listed(keys.unexpected, _MOST_NAMES)}"
    if renaming.unused():
        yield f"rename begins no name with {listed(renaming.unused())}"
    left = {names[name]: getattr(state[name], "shape", None) for name in keys.unexpected}
    yield from hints({name: own[name].shape for name in keys.missing}, left)


def _array(name: Any, value: Any) -> np.ndarray:
    return np.asarray(value.data if isinstance(value, Tensor) else unmasked("load_state_dict", str(name), value))


def _problems(values: np.ndarray, array: np.ndarray) -> Iterator[tuple[type[Exception], str]]:
    """What stands against the assignment of values to an array."""
    if values.shape != array.shape:
        yield ValueError, f"has shape {values.shape} in the state but {array.shape} in the module"
    elif not np.can_cast(values.dtype, array.dtype, "same_kind"):
        yield TypeError, f"has dtype {values.dtype} in the state but {array.dtype} in the module"
    elif not array.flags.writeable:
        yield ValueError, "is read-only in the module"


def _ready(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Targets with values of their dtypes, which lie where none of the targets does: no assignment fails any more."""
    bounds = np.array([byte_bounds(array) for array, _ in pairs], np.uint64).reshape(-1, 2)

    def ready(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        low, high = byte_bounds(values)
        overlaps = bool(((bounds[:, 0] < high) & (bounds[:, 1] > low)).any())
        return values.astype(dtype, copy=overlaps)

    return [(array, ready(values, array.dtype)) for array, values in pairs]
