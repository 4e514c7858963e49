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
    if wrong or (strict and (keys.missing or keys.unexpected or renaming.unused() or renaming.prefix_unused)):
        found = [*_names_that_differ(keys, renaming, own, state, names)] if strict else []
        found += [f"{name} {problem}" for name, _, problem in wrong[:_MOST_NAMES]]
        found += [f"{len(wrong) - _MOST_NAMES} more do not fit"] if len(wrong) > _MOST_NAMES else []
        only_types = len(found) == len(wrong) and all(kind is TypeError for _, kind, _ in wrong)
        if rename is None:
            found += _to_leave_out([name for name, kind, _ in wrong if kind is ValueError], own)
        raise (TypeError if only_types else ValueError)(
            f"load_state_dict: the state does not fit {owner}: {'; '.join(found)}"
        )
    for array, ready in _ready([(own[name], array) for name, array in values.items()]):
        array[...] = ready
        note_change(array)
    return keys


def _to_leave_out(names: list[str], own: dict[str, np.ndarray]) -> list[str]:
    """How a part that has another shape here, such as a new head, keeps its values; nothing where most of a model differs."""
    if not names or len(names) > min(6, len(own) / 2):
        return []
    return [f"to keep what the module has there: strict=False, rename=lambda name: None if name in {names} else name"]


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
    if renaming.prefix_unused:
        yield f"no name begins with prefix={renaming.prefix!r:.100}"
        left = {name: getattr(state[name], "shape", None) for name in state}
    yield from hints({name: own[name].shape for name in keys.missing}, left)


def _array(name: Any, value: Any) -> np.ndarray:
    if type(value).__module__.partition(".")[0] == "torch":
        value = _of_torch(value)
    return np.asarray(value.data if isinstance(value, Tensor) else unmasked("load_state_dict", str(name), value))


def _of_torch(tensor: Any) -> Any:
    """A tensor that NumPy takes: none that records gradients or lies on a device, and no bfloat16."""
    tensor = tensor.detach().cpu()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor


def _problems(values: np.ndarray, array: np.ndarray) -> Iterator[tuple[type[Exception], str]]:
    """What stands against the assignment of values to an array."""
    if values.shape != array.shape:
        yield ValueError, f"has shape {values.shape} in the state but {array.shape} in the module"
    elif not (np.can_cast(values.dtype, array.dtype, "same_kind") or _are_whole(values, array.dtype)):
        yield TypeError, f"has dtype {values.dtype} in the state but {array.dtype} in the module"
    elif not array.flags.writeable:
        yield ValueError, "is read-only in the module"


def _are_whole(values: np.ndarray, dtype: np.dtype[Any]) -> bool:
    """Whether floats are integers, as the counts in a state of which all values were made float16."""
    if values.dtype.kind != "f" or dtype.kind not in "iu":
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        return bool((values.astype(dtype).astype(values.dtype) == values).all())


def _ready(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Targets with values of their dtypes, which lie where none of the targets does: no assignment fails any more."""
    bounds = np.array([byte_bounds(array) for array, _ in pairs], np.uint64).reshape(-1, 2)

    def ready(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        low, high = byte_bounds(values)
        overlaps = bool(((bounds[:, 0] < high) & (bounds[:, 1] > low)).any())
        return values.astype(dtype, copy=overlaps)

    return [(array, ready(values, array.dtype)) for array, values in pairs]
