"""What a case of a benchmark is, and the kinds of cases that several files have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

Call = Callable[..., Any]  # call(F, *arrays)
FLOAT = 4


@dataclass
class Work:
    """What to time; flops or bytes are per call."""

    forward: Callable[[], Any]
    backward: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Case:
    op: str
    label: str
    build: Callable[[Any], Work]
    flops: tuple[float, float] = (0.0, 0.0)  # forward, backward
    bytes: tuple[float, float] = (0.0, 0.0)
    table: bool = False  # a row of DESIGN's table
    images: bool = False  # PyTorch is also measured in its channels_last layout
    overhead: bool = False  # microseconds of call overhead matter, not throughput
    sweep: bool = False  # one of many sizes, only measured when asked for
    directions: tuple[str, ...] = ("forward",)  # the parts of `Work` there are

    def __str__(self) -> str:
        return f"{self.op} {self.label}"


def normal(*shape: int) -> np.ndarray:
    """At a multiple of 64 bytes: where NumPy puts arrays differs by process, and by up to a tenth of a small call's time."""
    size = prod(shape)
    memory = np.empty(size + 16, np.float32)
    x = memory[-memory.ctypes.data % 64 // 4 :][:size].reshape(shape)
    return np.random.default_rng(size).standard_normal(out=x, dtype=np.float32)


def call_case(
    op: str, label: str, shapes: list[tuple[int, ...] | None], call: Call, backward: bool = True, **columns: Any
) -> Case:
    """A function of arrays of these shapes and its reverse pass."""

    def build(library: Any) -> Work:
        arrays = [None if s is None else normal(*s) for s in shapes]
        inputs = [None if a is None else library.array(a) for a in arrays]
        forward = lambda: call(library.F, *inputs)
        if not backward:
            return Work(forward)
        y = forward()
        return Work(forward, library.vjp(call, arrays, normal(*y.shape)))

    images = len(shapes[0] or ()) == 4 and not columns.get("overhead") and not columns.get("sweep")
    directions = ("forward", "backward") if backward else ("forward",)
    return Case(op, label, build, images=images, directions=directions, **columns)


def memory_case(
    op: str,
    label: str,
    x: tuple[int, ...],
    y: int,
    call: Call,
    *rest: tuple[int, ...],
    saved: bool = True,
    **columns: Any,
) -> Case:
    """Reads x and writes y values forwards; backwards reads dy (and x, if ``saved``) and writes dx."""
    n = prod(x)
    moved = (FLOAT * (n + y), FLOAT * (y + n * (1 + saved)))
    return call_case(op, label, [x, *rest], call, bytes=moved, **columns)
