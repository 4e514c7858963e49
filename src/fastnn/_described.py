"""Settings in words, to tell one training from another by."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def described(value: Any) -> Any:
    """A setting in words that are the same in another process and later: no addresses, and no values that change."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, partial):
        options = [_text(part) for part in value.args]
        options += [f"{name}={_text(part)}" for name, part in value.keywords.items()]
        return f"{described(value.func)}({', '.join(options)})"
    if isinstance(value, tuple | list):
        return [described(part) for part in value]
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    kind: Any = type(value)
    # The text that Python writes for a dataclass shows its state with its settings, unless nothing of it can change.
    generated = dataclasses.is_dataclass(kind) and hasattr(kind.__repr__, "__wrapped__")
    changes = generated and not kind.__dataclass_params__.frozen
    if kind.__repr__ is object.__repr__ or changes:
        return kind.__qualname__
    return _ADDRESS.sub("", repr(value))


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(described(value))
