"""Which part of a nested state holds the weights."""

from __future__ import annotations

from typing import Any

from .._files import listed
from .error import WeightsError


def chosen(state: Any, key: tuple[str, ...] | None, kind: type) -> dict[str, Any]:
    """The dictionary of values of a kind (arrays) that the keys lead to, or without keys the only one that there is.

    Raises
    ------
    WeightsError
        If there is none, or more than one to choose from.

    Examples
    --------
    >>> from fastnn.weights.nested import chosen
    >>> chosen({"model": {"weight": 1.0}, "epoch": 3}, None, float)
    {'weight': 1.0}
    """
    if key is not None:
        return _at(state, key, kind)
    if isinstance(state, dict) and _other(state, kind) is None:
        return state
    if not isinstance(state, dict):
        raise WeightsError(f"holds {_word(state, kind)}; expected weights by name")
    candidates = [name for name, part in state.items() if _holds(part, kind)]
    if len(candidates) == 1:
        part: dict[str, Any] = state[candidates[0]]
        return part
    if candidates:
        raise WeightsError(
            f"holds several dictionaries of weights: {listed(candidates)}; say which one: key={candidates[0]!r}"
        )
    nested = [name for name, part in state.items() if isinstance(part, dict)]
    if nested:
        raise WeightsError(
            f"holds no dictionary of weights alone; those in it: {listed(nested, 10)}, and {_other(state, kind)}; "
            f"a path of keys leads farther down: key=({nested[0]!r}, ...)"
        )
    raise WeightsError(f"holds no dictionary of weights alone: {_other(state, kind)}")


def _at(state: Any, key: tuple[str, ...], kind: type) -> dict[str, Any]:
    part = state
    for i, name in enumerate(key):
        if not isinstance(part, dict) or name not in part:
            there = listed(part, 10) if isinstance(part, dict) else _word(part, kind)
            above = f" below {listed(key[:i])}" if i else ""
            raise WeightsError(f"has no {name!r:.100}{above}; there is {there}")
        part = part[name]
    if not isinstance(part, dict):
        raise WeightsError(f"holds {_word(part, kind)} under {listed(key)}; expected weights by name")
    other = _other(part, kind)
    if other is not None:
        raise WeightsError(f"holds no weights alone under {listed(key)}: {other}")
    return part


def _holds(part: Any, kind: type) -> bool:
    return isinstance(part, dict) and bool(part) and _other(part, kind) is None


def _other(part: dict[Any, Any], kind: type) -> str | None:
    """The first entry that is no array under a name, in words; None where all are."""
    for name, value in part.items():
        if not isinstance(name, str) or not isinstance(value, kind):
            return f"{name!r:.100} is {_word(value, kind)}"
    return None


def _word(value: Any, kind: type) -> str:
    name = "array" if isinstance(value, kind) else type(value).__name__
    return f"an {name}" if name[0] in "aeioAEIOU" else f"a {name}"
