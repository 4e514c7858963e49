"""Samples of the op table: padding."""

from __future__ import annotations

from typing import Any

from harness import Sample
from samples import EDGES, Values

# Ints in forms that PyTorch takes in all modes: of one or two spatial axes, and amounts within the axis.
_FLAT: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3, 9), (1, 1)),
    ((2, 3, 9), (8, 0)),
    ((4, 65), (0, 5)),
    ((2, 3, 5, 7), (1, 1, 1, 1)),
    ((1, 2, 16, 33), (2, 0, 3, 1)),
    ((1, 1, 5, 6), (5, 4, 2, 3)),
    ((2, 2, 7, 8), (-2, 1, 1, -3)),
    ((2, 2, 7, 8), (-1, -2, -3, 0)),
    ((0, 2, 4, 4), (1, 1, 1, 1)),
    ((1, 2, 3, 4, 5), (1, 2, 0, 1, 2, 1)),
]
# Pairs: any axes, and amounts larger than the axis.
_PAIRS: list[tuple[tuple[int, ...], tuple[tuple[int, int], ...]]] = [
    ((), ()),
    ((1,), ((4, 3),)),
    ((2,), ((7, 0),)),
    ((5,), ((0, 0),)),
    ((3, 4), ((2, 1), (0, 0))),
    ((3, 0), ((2, 1), (0, 0))),
    ((3, 4), ((9, 8), (5, 13))),
    ((6, 7), ((-2, 9), (8, -3))),
    ((3, 5), ((-3, 0), (0, 0))),
    ((2, 3, 4, 2, 3), ((1, 0), (0, 2), (0, 0), (0, 0), (1, 1))),
    ((1, 2, 1, 3, 1, 2, 3), ((0, 0), (1, 2), (0, 0), (0, 1), (2, 2), (0, 0), (0, 1))),
    ((3, 5000), ((1, 1), (2, 4500))),
    ((9000,), ((100, 30),)),
    ((2, 1100), ((2, 3), (1000, 70))),
    ((5, 3, 40), ((0, 0), (0, 0), (3, 0))),
]
_MODES = ("constant", "reflect", "replicate", "circular")


def pad() -> list[Sample]:
    v = Values("pad")
    cases: list[tuple[tuple[int, ...], Any]] = [
        *_FLAT,
        *_PAIRS,
        *(((3, n), (1, 2 if n > 2 else 0)) for n in EDGES if n > 1),
    ]
    samples = [Sample((v.normal(*x),), {"padding": p, "mode": m}) for x, p in cases for m in _MODES]
    samples.append(Sample((v.normal(3, 9),), {"padding": (2, 1), "value": -1.5}))
    samples.append(Sample((v.normal(3, 9),), {"padding": (2, 1), "value": float("-inf")}, special=True))
    samples.append(Sample((v.normal(0, 3),), {"padding": ((2, 0), (0, 1)), "value": 7.0}))
    special = [Sample((v.with_specials(3, 17),), {"padding": (3, 2), "mode": m}, special=True) for m in _MODES]
    return [*samples, *special]
