"""Settings in words, to be compared with those of another process."""

from __future__ import annotations

from functools import partial
from typing import Any


def described(value: Any) -> Any:
    """A setting in words that are the same in another process: no addresses.

    >>> from functools import partial
    >>> from fastnn._described import described
    >>> described(partial(round, ndigits=2)), described([1, max])
    ('round(ndigits=2)', [1, 'max'])
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, partial):
        options = [repr(part) for part in value.args] + [f"{name}={part!r}" for name, part in value.keywords.items()]
        return f"{described(value.func)}({', '.join(options)})"
    if isinstance(value, tuple | list):
        return [described(part) for part in value]
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    kind: Any = type(value)
    return repr(value) if kind.__repr__ is not object.__repr__ else kind.__qualname__
