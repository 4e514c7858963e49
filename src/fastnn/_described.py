"""Settings in words that are the same in another process and later."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def described(value: Any) -> Any:
    """A setting in plain values: functions by their names, other objects as they print, without addresses.

    >>> from functools import partial
    >>> described(partial(described, value=[described, "text", 1]))
    "described(value=[described, 'text', 1])"
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [described(part) for part in value]
    return _in_words(value)


def _in_words(value: Any) -> str:
    if isinstance(value, partial):
        options = [*map(_in_words, value.args), *(f"{name}={_in_words(part)}" for name, part in value.keywords.items())]
        return f"{_in_words(value.func)}({', '.join(options)})"
    if isinstance(value, tuple | list):
        ends = "()" if isinstance(value, tuple) else "[]"
        return f"{ends[0]}{', '.join(map(_in_words, value))}{ends[1]}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_in_words(key)}: {_in_words(part)}' for key, part in value.items())}}}"
    if isinstance(value, set | frozenset):  # sorted, since a set's order differs from process to process
        return f"{{{', '.join(sorted(map(_in_words, value)))}}}"
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    kind: Any = type(value)
    if kind.__repr__ is object.__repr__ or _shows_state(kind):
        return str(kind.__qualname__)
    return _ADDRESS.sub("", repr(value))


def _shows_state(kind: Any) -> bool:
    """Whether objects print as Python writes it for a dataclass that can change: what they have seen beside their settings."""
    generated = dataclasses.is_dataclass(kind) and hasattr(kind.__repr__, "__wrapped__")
    return generated and not kind.__dataclass_params__.frozen
