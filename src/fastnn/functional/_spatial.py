"""Functions of one, two and three spatial axes from one definition."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from ._op import Call, Plan, operation

P = ParamSpec("P")
R = TypeVar("R")


def ranks(
    name: str,
    define: Callable[[Call], Callable[P, R]],
    plan: Callable[..., Plan],
    inputs: tuple[str, ...] = (),
) -> tuple[Callable[P, R], Callable[P, R], Callable[P, R]]:
    """The functions that ``define`` makes of the operations of one, two and three spatial axes.

    ``name`` has ``{rank}`` in it. ``plan`` gets the name and the rank before the arguments. The docstring is
    that of the function inside ``define``, with `_words` in braces; of its examples each rank has those behind its
    ``rank 1:``.
    """

    def of_rank(rank: int) -> Callable[P, R]:
        op = name.format(rank=rank)
        function = define(operation(op, partial(plan, op, rank), inputs))
        function.__name__ = function.__qualname__ = op
        if function.__doc__:  # python -OO removes it
            function.__doc__ = _worded(function.__doc__, op, rank)
        return function

    return of_rank(1), of_rank(2), of_rank(3)


def _worded(doc: str, op: str, rank: int) -> str:
    head, examples = doc.split("rank 1:", 1)
    example = re.split(r" *rank \d:", examples)[rank - 1].strip()
    return head.format(op=op.removesuffix("_backward"), **_words(rank)) + example + "\n"


def _words(rank: int) -> dict[str, str]:
    axes = ("d", "h", "w")[3 - rank :]
    at, taps = ("h", "i", "j")[-rank:] if rank > 1 else ("i",), ("s", "a", "b")[-rank:] if rank > 1 else ("a",)
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
        "at": ", ".join(at),
        "taps": ", ".join(taps),
        "places": ", ".join(f"{i}*S - P + {a}*D" for i, a in zip(at, taps, strict=True)),
    }
