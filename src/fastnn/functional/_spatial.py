"""The sections of a docstring that functions of one, two and three spatial axes have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def _words(rank: int) -> dict[str, str]:
    axes = ("d", "h", "w")[3 - rank :]
    several = "(" + ", ".join(["int"] * rank) + ("," if rank == 1 else "") + ")"
    sides = "(" + ", ".join(["(int, int)"] * rank) + ("," if rank == 1 else "") + ")"
    return {
        "inputs": ("sequences", "images", "volumes")[rank - 1],
        "input": ("sequence", "image", "volume")[rank - 1],
        "size": ", ".join(axes),
        "kernel": ", ".join("k" + a for a in axes),
        "out": ", ".join("o" + a for a in axes),
        "ints": f"int or {several}",
        "sizes": f"int or {several.replace('int', 'int or None')}",
        "paddings": f"int, {several} or {sides}",
        "position": ("column", "row * w + column", "(plane * h + row) * w + column")[rank - 1],
    }


def sections(text: str, rank: int) -> Callable[[Function], Function]:
    """Put ``text``, worded for ``rank`` spatial axes, before the examples of a function's docstring.

    ``{op}`` in it is the name of the function without ``_backward``; `_words` has the others.
    """

    def document(function: Function) -> Function:
        doc = function.__doc__
        if doc:  # python -OO has none
            head, examples = doc.split("Examples\n", 1)
            indent = head[head.rindex("\n") + 1 :]
            op = function.__name__.removesuffix("_backward")
            lines = text.strip().format(op=op, **_words(rank)).split("\n")
            body = "\n".join(indent + line if line else "" for line in lines).lstrip()
            function.__doc__ = f"{head}{body}\n\n{indent}Examples\n{examples}"
        return function

    return document
