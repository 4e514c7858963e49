"""Arithmetic, elementwise functions and reductions of tensors; everything NumPy broadcasts, these broadcast.

In each backward, ``needs`` decides what is computed. ``_fit`` sums a gradient over the axes along which its
input was broadcast.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .core import Axis, Tensor, _as_data, record

Gradients = tuple[Any, ...]
_NUMBERS = frozenset((float, int))


def operand(x: Any, name: str) -> Any:
    """What NumPy shall compute with: an array, or a Python number (which leaves the other's dtype alone)."""
    if isinstance(x, Tensor):
        return x.data
    return x if type(x) in _NUMBERS else _as_data(x, name)


def _fit(gradient: Any, like: np.ndarray) -> Any:
    shape = like.shape
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    stretched = [axis for axis, n in enumerate(shape, extra) if n == 1 and gradient.shape[axis] != 1]
    return gradient.sum(axis=(*range(extra), *stretched)).reshape(shape)


def add(a: Any, b: Any) -> Any:
    """``a + b``."""
    a_, b_ = operand(a, "add"), operand(b, "add")

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        return _fit(dy, a_) if needs[0] else None, _fit(dy, b_) if needs[1] else None

    return record("add", a_ + b_, (a, b), vjp)


def subtract(a: Any, b: Any) -> Any:
    """``a - b``."""
    a_, b_ = operand(a, "subtract"), operand(b, "subtract")

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        return _fit(dy, a_) if needs[0] else None, _fit(-dy, b_) if needs[1] else None

    return record("subtract", a_ - b_, (a, b), vjp)


def multiply(a: Any, b: Any) -> Any:
    """``a * b``."""
    a_, b_ = operand(a, "multiply"), operand(b, "multiply")

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        return _fit(dy * b_, a_) if needs[0] else None, _fit(dy * a_, b_) if needs[1] else None

    return record("multiply", a_ * b_, (a, b), vjp)


def divide(a: Any, b: Any) -> Any:
    """``a / b``."""
    a_, b_ = operand(a, "divide"), operand(b, "divide")
    y = a_ / b_

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        scaled = dy / b_
        return _fit(scaled, a_) if needs[0] else None, _fit(-scaled * y, b_) if needs[1] else None

    return record("divide", y, (a, b), vjp)


def power(a: Any, b: Any) -> Any:
    """``a ** b``; both derivatives are taken as 0 where their formula gives 0·∞ (``0 ** 0``; by ``b`` at ``a = 0``)."""
    a_, b_ = operand(a, "power"), operand(b, "power")
    y = a_**b_

    def by_base(dy: np.ndarray) -> Any:
        # y = a^b: b·a^(b−1), without 0·∞ at a = 0, b = 0
        if type(b_) in _NUMBERS:
            return np.zeros_like(dy) if b_ == 0 else dy * (b_ * a_ ** (b_ - 1))
        return dy * (b_ * np.power(a_, np.where(b_ == 0, np.ones_like(b_), b_ - 1)))

    def by_exponent(dy: np.ndarray) -> Any:
        # y = a^b: y·log a, without 0·(−∞) at a = 0
        flat = (np.equal(a_, 0)) & (b_ >= 0)
        return dy * np.where(flat, np.zeros_like(y), y * np.log(np.where(flat, np.ones_like(a_), a_)))

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        return _fit(by_base(dy), a_) if needs[0] else None, _fit(by_exponent(dy), b_) if needs[1] else None

    return record("power", y, (a, b), vjp)


def negative(x: Any) -> Any:
    """``-x``."""
    return record("negative", -operand(x, "negative"), (x,), lambda dy, needs: (-dy,))


def exp(x: Any) -> Any:
    """e to the power of each element."""
    y = np.exp(operand(x, "exp"))
    return record("exp", y, (x,), lambda dy, needs: (dy * y,))


def log(x: Any) -> Any:
    """The natural logarithm of each element."""
    x_ = operand(x, "log")
    return record("log", np.log(x_), (x,), lambda dy, needs: (dy / x_,))


def sqrt(x: Any) -> Any:
    """The square root of each element."""
    y = np.sqrt(operand(x, "sqrt"))
    return record("sqrt", y, (x,), lambda dy, needs: (dy / (2 * y),))


def absolute(x: Any) -> Any:
    """The absolute value of each element; the derivative at 0 is 0."""
    x_ = operand(x, "absolute")
    return record("absolute", np.abs(x_), (x,), lambda dy, needs: (dy * np.sign(x_),))


def maximum(a: Any, b: Any) -> Any:
    """The larger of two elements; equal ones give the gradient to the first, NaN propagates."""
    a_, b_ = operand(a, "maximum"), operand(b, "maximum")
    return _pick("maximum", np.maximum(a_, b_), (a_ >= b_) | np.isnan(a_), a, b, a_, b_)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two elements; equal ones give the gradient to the first, NaN propagates."""
    a_, b_ = operand(a, "minimum"), operand(b, "minimum")
    return _pick("minimum", np.minimum(a_, b_), (a_ <= b_) | np.isnan(a_), a, b, a_, b_)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Elements of ``a`` where the condition holds, else of ``b``."""
    a_, b_ = operand(a, "where"), operand(b, "where")
    mask = np.asarray(operand(condition, "where"), dtype=bool)
    return _pick("where", np.where(mask, a_, b_), mask, a, b, a_, b_)


def _pick(name: str, y: Any, mask: Any, a: Any, b: Any, a_: Any, b_: Any) -> Any:
    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        zero = np.zeros((), dy.dtype)
        return (
            _fit(np.where(mask, dy, zero), a_) if needs[0] else None,
            _fit(np.where(mask, zero, dy), b_) if needs[1] else None,
        )

    return record(name, y, (a, b), vjp)


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def _spread(dy: np.ndarray, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The gradient of a reduction, repeated along the reduced axes."""
    return np.broadcast_to(dy.reshape([1 if i in axes else n for i, n in enumerate(x.shape)]), x.shape)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over an axis, several axes, or everything."""
    x_ = operand(x, "sum")
    axes = _axes(axis, x_.ndim)
    return record("sum", x_.sum(axis=axes, keepdims=keepdims), (x,), lambda dy, needs: (_spread(dy, x_, axes),))


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over an axis, several axes, or everything."""
    x_ = operand(x, "mean")
    axes = _axes(axis, x_.ndim)
    count = math.prod(x_.shape[i] for i in axes)
    y = x_.mean(axis=axes, keepdims=keepdims)
    return record("mean", y, (x,), lambda dy, needs: (_spread(dy / count, x_, axes),))


def var(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """The variance over an axis, several axes, or everything; the divisor is the count less ``ddof``."""
    x_ = operand(x, "var")
    axes = _axes(axis, x_.ndim)
    count = math.prod(x_.shape[i] for i in axes) - ddof

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        # y = Σ(x − x̄)² / count
        scale = 2 / count if count > 0 else math.nan
        return ((x_ - x_.mean(axis=axes, keepdims=True)) * _spread(dy * scale, x_, axes),)

    return record("var", x_.var(axis=axes, keepdims=keepdims, ddof=ddof), (x,), vjp)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element over an axis, several axes, or everything; of equal ones the first gets the gradient."""
    return _extremum("max", np.max, np.argmax, x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element over an axis, several axes, or everything; of equal ones the first gets the gradient."""
    return _extremum("min", np.min, np.argmin, x, axis, keepdims)


def _extremum(name: str, reduce: Any, locate: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    x_ = operand(x, name)
    axes = _axes(axis, x_.ndim)

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        order = [i for i in range(x_.ndim) if i not in axes] + list(axes)
        rows = x_.transpose(order).reshape(dy.size, -1)
        dx = np.zeros(rows.shape, dy.dtype)
        dx[np.arange(dy.size), locate(rows, axis=1)] = dy.reshape(-1)
        return (dx.reshape([x_.shape[i] for i in order]).transpose(np.argsort(order)),)

    return record(name, reduce(x_, axis=axes, keepdims=keepdims), (x,), vjp)
