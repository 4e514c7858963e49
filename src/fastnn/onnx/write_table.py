"""The table of what is written: from the names of operations to functions that add their nodes to a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

# writer(graph, step, *arguments) -> the name of the output, or a tuple of them; arguments are those of the operation
Writer = Callable[..., Any]
W = TypeVar("W", bound=Writer)

ROWS: dict[str, Writer] = {}
REFUSED: dict[str, str] = {}  # operations that are never written, with the reason


def writes(*names: str) -> Callable[[W], W]:
    """Decorate the writer of these operations."""

    def add(writer: W) -> W:
        for name in names:
            ROWS[name] = writer
        return writer

    return add


def refuses(reason: str, *names: str) -> None:
    """Say why these operations are not written."""
    REFUSED.update(dict.fromkeys(names, reason))
