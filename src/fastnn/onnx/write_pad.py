"""Padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conventions import PAD_MODES
from .graph_writer import Graph, Name, Unsayable, result
from .trace import Step, Value
from .write_table import writes


@writes("pad")
def _pad(g: Graph, step: Step, x: Any, padding: Any, mode: str, value: float) -> Name:
    """Only constants are padded by ONNX's Pad: its other modes take less than the axis, and one came late."""
    geometry, dtype = step.geometry, result(step).dtype
    if mode == "constant":
        return _with_constant(g, x, geometry, g.array(value, dtype))
    y = g.name(x)
    for axis, (n, low, high) in enumerate(zip(geometry.size, geometry.before, geometry.after, strict=True)):
        if not low and not high:
            continue
        if isinstance(x, Value) and x.batches[axis]:
            raise Unsayable(f"pads the axis of the batch in mode {mode!r}")
        kept = np.arange(n)[max(-low, 0) : n - max(-high, 0)]
        taken = np.pad(kept, (max(low, 0), max(high, 0)), PAD_MODES[mode])  # type: ignore[call-overload]
        y = g.node("Gather", y, g.array(taken, np.int64), axis=axis)
    return y if y != g.name(x) else g.node("Identity", x)


def _with_constant(g: Graph, x: Any, geometry: Any, value: Name) -> Name:
    """What is negative is cut off first, by a node of its own, since runtimes refuse some of it in Pad."""
    y, ndim = g.name(x), len(geometry.size)
    if not ndim:
        return g.node("Identity", x)
    if any(n < 0 for n in (*geometry.before, *geometry.after)):
        starts = g.ints(*(max(-n, 0) for n in geometry.before))
        ends = g.ints(*(n if n < 0 else np.iinfo(np.int64).max for n in geometry.after))
        y = g.node("Slice", y, starts, ends, g.ints(*range(ndim)))
    sides = g.ints(*(max(n, 0) for n in (*geometry.before, *geometry.after)))
    return g.node("Pad", y, sides, value, mode="constant")
