"""The sections of a docstring that functions and layers of one, two and three spatial axes have in common."""

from __future__ import annotations

from collections.abc import Callable

from .. import _docs


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
        "rank": str(rank),
    }


def sections(text: str, rank: int) -> Callable[[_docs.Documented], _docs.Documented]:
    """Put ``text``, worded for ``rank`` spatial axes, before the examples of a docstring; `_words` has the words."""
    return _docs.sections(text, **_words(rank))
