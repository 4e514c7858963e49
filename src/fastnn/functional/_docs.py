"""Sections of a docstring that several functions or classes have in common, written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Documented = TypeVar("Documented", bound=Callable[..., Any])


def sections(text: str, **words: str) -> Callable[[Documented], Documented]:
    """Put ``text`` before the examples of a docstring.

    ``{op}`` in it is the name of the function (without ``_backward``) or class, other words in braces are given.
    """

    def document(documented: Documented) -> Documented:
        doc = documented.__doc__
        if doc:  # python -OO removes it
            head, examples = doc.split("Examples\n", 1)
            indent = head[head.rindex("\n") + 1 :]
            op = documented.__name__.removesuffix("_backward")
            lines = text.strip().format(op=op, **words).split("\n")
            body = "\n".join(indent + line if line else "" for line in lines).lstrip()
            documented.__doc__ = f"{head}{body}\n\n{indent}Examples\n{examples}"
        return documented

    return document
