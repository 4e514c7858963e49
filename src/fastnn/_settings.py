"""Settings of the whole process that hold from now on, or for a ``with`` block."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class Applied:
    """A value that was set; at the end of a ``with`` block the one before is set again.

    That is the one before this object was made, which sets the value already; where it is entered once more, the one
    before that.
    """

    def __init__(self, value: Any, present: Callable[[], Any], apply: Callable[[Any], None]) -> None:
        self._value, self._present, self._apply = value, present, apply
        self._before = [present()]
        self._entered = False
        apply(value)

    def __enter__(self) -> Self:
        if self._entered:
            self._before.append(self._present())
        self._entered = True
        self._apply(self._value)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._apply(self._before.pop())
