"""What in a trace depends on the input's values, and what on the size of the batch, by comparison with further traces.

A constant that is another one for other values was computed from the input outside of tensors: a graph would hold the example's,
so it is refused. What differs for another batch is refused, too, unless it is a multiple of the batch size, or an array that is
longer and otherwise alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .trace import OTHERWISE, Constant, Refused, Step, Trace, Value


@dataclass(frozen=True)
class Batch:
    """A number that is ``factor`` times the batch size; ``example`` is that of the example."""

    factor: int
    example: int | float


class _Different(Exception):
    """Two arguments differ; the text says how."""


def require_same_values(first: Trace, other: Trace) -> None:
    """Refuse a trace whose constants are others where the values of the input are."""
    try:
        _Pairs(first, other, None).compare()
    except _Different as error:
        raise Refused(
            f"{error} when the input has other values: it was computed from the input outside of tensors, by NumPy or in "
            "Python; use tensors and fastnn's functions"
        ) from None


def find_batches(first: Trace, other: Trace, sizes: tuple[int, int]) -> None:
    """Note in the first trace what depends on the batch, whose sizes in the two traces are given."""
    try:
        _Pairs(first, other, sizes).compare()
    except _Different as error:
        raise Refused(
            f"{error} when the batch has {sizes[1]} in the place of {sizes[0]} samples; pass batch_axis=None for a graph "
            "that takes only batches of the example's size"
        ) from None


class _Pairs:
    """Two traces that are gone through side by side."""

    def __init__(self, first: Trace, other: Trace, sizes: tuple[int, int] | None) -> None:
        self.first, self.other, self.sizes = first, other, sizes
        self.partner: dict[Value, Value] = {}  # of each value of the first trace

    def compare(self) -> None:
        for x, y in zip(self.first.inputs, self.other.inputs, strict=True):
            self._values("the input", x, y)
        for i, (a, b) in enumerate(zip(self.first.steps, self.other.steps, strict=False)):
            if a.name != b.name:
                raise _Different(f"operation {i} is {b.name} and not {a.name}")
            self._step(a, b)
        before, now = len(self.first.steps), len(self.other.steps)
        if before != now:
            raise _Different(f"the model makes {now} operations and not {before}")
        self.first.outputs = self._argument("the output", self.first.outputs, self.other.outputs)

    def _step(self, a: Step, b: Step) -> None:
        a.arguments = tuple(
            self._argument(f"{a.name}: an argument", x, y) for x, y in zip(a.arguments, b.arguments, strict=True)
        )
        if _windows(a.geometry) != _windows(b.geometry):
            raise _Different(f"{a.name}: the windows are others")
        for x, y in zip(a.outputs, b.outputs, strict=True):
            self._values(f"{a.name}: the result", x, y)

    def _values(self, what: str, a: Value, b: Value) -> None:
        if len(a.shape) != len(b.shape) or a.dtype != b.dtype:
            raise _Different(f"{what} has shape {b.shape}, {b.dtype}, and not {a.shape}, {a.dtype}")
        if self.sizes is None and a.shape != b.shape:
            raise Refused(
                f"{what} has shape {a.shape}, and {b.shape} when the input has other values: a graph cannot follow what decides "
                "by values about the number of results; use fastnn.where"
            )
        self.partner[a] = b
        if self.sizes is not None:
            a.batches = tuple(self._factor(m, n) for m, n in zip(a.shape, b.shape, strict=True))

    def _factor(self, m: Any, n: Any) -> int:
        """Which multiple of the batch size m and n are; 0 if they are the same, `OTHERWISE` if they depend on it otherwise."""
        if m == n:
            return 0
        if self.sizes is not None and all(isinstance(x, (int, float, np.integer)) for x in (m, n)):
            factor = int(n // self.sizes[1])
            if (m, n) == (factor * self.sizes[0], factor * self.sizes[1]):
                return factor
        return OTHERWISE

    def _argument(self, what: str, a: Any, b: Any) -> Any:
        if isinstance(a, Value) or isinstance(b, Value):
            if self.partner.get(a) is not b:
                raise _Different(f"{what} is another value")
            return a
        if isinstance(a, Constant) and isinstance(b, Constant):
            return self._constant(what, a, b)
        if type(a) is not type(b):
            raise _Different(f"{what} is {_shown(b)} and not {_shown(a)}")
        if isinstance(a, (tuple, list)):
            if len(a) != len(b):
                raise _Different(f"{what} is {_shown(b)} and not {_shown(a)}")
            return type(a)(self._argument(what, x, y) for x, y in zip(a, b, strict=True))
        if isinstance(a, dict):
            if list(a) != list(b):
                raise _Different(f"{what} has other keys")
            return {key: self._argument(what, a[key], b[key]) for key in a}
        if isinstance(a, slice):
            return slice(*(self._argument(what, *pair) for pair in _ends(a, b)))
        if a is b or a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b)):
            return a
        factor = self._factor(a, b)
        if factor == OTHERWISE:
            raise _Different(f"{what} is {_shown(b)} and not {_shown(a)}")
        return Batch(factor, a)

    def _constant(self, what: str, a: Constant, b: Constant) -> Constant:
        if a.name and a.name == b.name:
            return a
        if a.dtype != b.dtype or len(a.shape) != len(b.shape):
            raise _Different(f"{what} is an array of another kind")
        if a.shape == b.shape:
            if a.axis is None and not np.array_equal(a.array, b.array, equal_nan=a.dtype.kind == "f"):
                raise _Different(f"{what} is an array of other values")
            return a
        axes = [i for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n]
        rows = [np.unique(x.array, axis=axes[0]) for x in (a, b)] if len(axes) == 1 else []
        if not rows or rows[0].shape[axes[0]] != 1 or not np.array_equal(rows[0], rows[1]):
            raise _Different(f"{what} is an array of shape {b.shape} and not {a.shape}")
        factor = self._factor(a.shape[axes[0]], b.shape[axes[0]])
        if factor == OTHERWISE:
            raise _Different(f"{what} is an array of shape {b.shape} and not {a.shape}")
        return Constant(rows[0], axis=axes[0], factor=factor)


def _ends(a: slice, b: slice) -> tuple[tuple[Any, Any], ...]:
    return (a.start, b.start), (a.stop, b.stop), (a.step, b.step)


def _windows(geometry: Any) -> Any:
    """What of a geometry decides the graph: not the sizes, of which the batch may be one."""
    names = ("groups", "kernel", "stride", "pad", "dilation")
    return tuple(getattr(geometry, name, None) for name in names)


def _shown(x: Any) -> str:
    return repr(x) if isinstance(x, (int, float, str, bool, type(None), np.generic)) else f"another {type(x).__name__}"
