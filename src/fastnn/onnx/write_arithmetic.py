"""Arithmetic and elementwise functions of tensors, comparisons and reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .graph_writer import Graph, Name, extents, result
from .trace import Constant, Step, Value
from .write_table import writes

_ARITHMETIC = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "maximum": "Max",
    "minimum": "Min",
}  # fmt: skip
_FUNCTIONS = {"negative": "Neg", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "absolute": "Abs"}
_COMPARISONS = {
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "eq": "Equal",
    "ne": "Equal",
}
_LOGIC = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not"}


@writes(*_ARITHMETIC)
def _arithmetic(g: Graph, step: Step, a: Any, b: Any) -> Name:
    dtype = result(step).dtype
    return g.node(_ARITHMETIC[step.name], g.operand(a, dtype), g.operand(b, dtype))


@writes(*_FUNCTIONS)
def _function(g: Graph, step: Step, x: Any) -> Name:
    return g.node(_FUNCTIONS[step.name], g.operand(x, result(step).dtype))


@writes(*_COMPARISONS)
def _compare(g: Graph, step: Step, a: Any, b: Any) -> Name:
    dtype = np.result_type(*(x.dtype if isinstance(x, (Value, Constant)) else x for x in (a, b)))
    name = g.node(_COMPARISONS[step.name], g.operand(a, dtype), g.operand(b, dtype))
    return g.node("Not", name) if step.name == "ne" else name


@writes(*_LOGIC)
def _logic(g: Graph, step: Step, *operands: Any) -> Name:
    return g.node(_LOGIC[step.name], *(g.operand(x, np.dtype(bool)) for x in operands))


@writes("where")
def _where(g: Graph, step: Step, a: Any, b: Any, condition: Any) -> Name:
    dtype = result(step).dtype
    mask = g.operand(condition, np.dtype(bool))
    return g.node("Where", mask, g.operand(a, dtype), g.operand(b, dtype))


@writes("clip")
def _clip(g: Graph, step: Step, x: Any, low: Any, high: Any) -> Name:
    dtype = result(step).dtype
    y = g.operand(x, dtype)
    for kind, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            y = g.node(kind, y, g.operand(bound, dtype))
    return y if y != g.name(x) else g.node("Identity", y)


@writes("argmax", "argmin")
def _place(g: Graph, step: Step, x: Any, axis: int | None, keepdims: bool) -> Name:
    kind = "ArgMax" if step.name == "argmax" else "ArgMin"
    y = g.name(x) if axis is not None else g.reshape(x, [-1])
    name = g.node(kind, y, axis=axis or 0, keepdims=int(keepdims and axis is not None))
    return g.reshape(name, [1] * len(result(step).shape)) if axis is None and keepdims else name


def reduced(g: Graph, kind: str, x: Any, axes: tuple[int, ...], keepdims: bool = True) -> Name:
    """x reduced by ONNX's ``kind``; ``axes`` are not negative."""
    if not axes:
        return g.node("Identity", x)
    by_input = kind == "ReduceSum" or g.opset >= 18
    places: dict[str, Any] = {} if by_input else {"axes": list(axes)}
    inputs = (x, g.ints(*axes)) if by_input else (x,)
    return g.node(kind, *inputs, keepdims=int(keepdims), **places)


_REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}


@writes(*_REDUCTIONS)
def _reduce(g: Graph, step: Step, x: Any, axes: tuple[int, ...], keepdims: bool) -> Name:
    return reduced(g, _REDUCTIONS[step.name], g.operand(x, result(step).dtype), axes, keepdims)


@writes("var", "std")
def _spread(g: Graph, step: Step, x: Any, axes: tuple[int, ...], keepdims: bool, ddof: int) -> Name:
    dtype = result(step).dtype
    y = g.operand(x, dtype)
    apart = g.node("Sub", y, reduced(g, "ReduceMean", y, axes))
    squares = reduced(g, "ReduceMean", g.node("Mul", apart, apart), axes, keepdims)
    if ddof:
        count = counted(g, x, axes, dtype)
        squares = g.node("Div", g.node("Mul", squares, count), g.node("Sub", count, g.array(ddof, dtype)))
    return g.node("Sqrt", squares) if step.name == "std" else squares


def counted(g: Graph, x: Any, axes: tuple[int, ...], dtype: Any) -> Name:
    """How many elements of x there are along the axes, as a number of this dtype."""
    along = [extents(x)[axis] for axis in axes]
    fixed = math.prod(n for n in along if isinstance(n, int))
    count = g.array(fixed, dtype)
    for n in along:
        if not isinstance(n, int):
            count = g.node("Mul", count, g.operand(n, np.dtype(dtype)))
    return count
