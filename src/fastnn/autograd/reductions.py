"""Reductions of tensors along axes: sums, means, variances, extremes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .core import Axis
from .ops import Gradients, operand, recorded

if TYPE_CHECKING:
    from .tensors import Tensor


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def _spread(dy: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """The gradient of a reduction, repeated along the reduced axes."""
    return np.broadcast_to(dy.reshape([1 if i in axes else n for i, n in enumerate(shape)]), shape)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over an axis, several axes, or everything."""
    x_ = operand(x, "sum")
    shape, axes = x_.shape, _axes(axis, x_.ndim)
    return recorded(
        "sum", x_.sum(axis=axes, keepdims=keepdims), (x,),
        lambda dy, needs: (_spread(dy, shape, axes),), lambda t: t[0].sum(axis=axes, keepdims=keepdims),
        (axes, keepdims),
    )  # fmt: skip


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over an axis, several axes, or everything."""
    x_ = operand(x, "mean")
    shape, axes = x_.shape, _axes(axis, x_.ndim)
    count = math.prod(shape[i] for i in axes)
    return recorded(
        "mean", x_.mean(axis=axes, keepdims=keepdims), (x,),
        lambda dy, needs: (_spread(dy / count, shape, axes),), lambda t: t[0].mean(axis=axes, keepdims=keepdims),
        (axes, keepdims),
    )  # fmt: skip


def var(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance over an axis, several axes, or everything; the divisor is the count less ``ddof``."""
    x_ = operand(x, "var")
    axes = _axes(axis, x_.ndim)
    count = math.prod(x_.shape[i] for i in axes) - ddof

    scale = 2 / count if count > 0 else math.nan

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        # y = Σ(x − x̄)² / count
        return ((x_ - x_.mean(axis=axes, keepdims=True)) * _spread(dy * scale, x_.shape, axes),)

    def jvp(tangents: Sequence[Any]) -> Any:
        # y = Σ(x − x̄)² / count, and Σ(x − x̄) = 0
        return ((x_ - x_.mean(axis=axes, keepdims=True)) * tangents[0]).sum(axis=axes, keepdims=keepdims) * scale

    return recorded("var", x_.var(axis=axes, keepdims=keepdims, ddof=ddof), (x,), vjp, jvp, (axes, keepdims, ddof))


def std(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The standard deviation, the root of `var`; its derivative is taken as 0 where it is 0."""
    x_ = operand(x, "std")
    axes = _axes(axis, x_.ndim)
    count = math.prod(x_.shape[i] for i in axes) - ddof
    y = x_.std(axis=axes, keepdims=keepdims, ddof=ddof)

    def direction() -> Any:
        # y = √(Σ(x − x̄)² / count): (x − x̄) / (count·y)
        divisor = _spread(np.asarray(y * count), x_.shape, axes)
        return np.divide(
            x_ - x_.mean(axis=axes, keepdims=True), divisor, where=divisor != 0, out=np.zeros(x_.shape, divisor.dtype)
        )

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        return (direction() * _spread(dy, x_.shape, axes),)

    def jvp(tangents: Sequence[Any]) -> Any:
        return (direction() * tangents[0]).sum(axis=axes, keepdims=keepdims)

    return recorded("std", y, (x,), vjp, jvp, (axes, keepdims, ddof))


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element over an axis, several axes, or everything; of equal ones the first gets the gradient."""
    return _extremum("max", np.max, np.argmax, x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element over an axis, several axes, or everything; of equal ones the first gets the gradient."""
    return _extremum("min", np.min, np.argmin, x, axis, keepdims)


def _extremum(name: str, reduce: Any, locate: Any, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x_ = operand(x, name)
    axes = _axes(axis, x_.ndim)
    order = [i for i in range(x_.ndim) if i not in axes] + list(axes)
    y = reduce(x_, axis=axes, keepdims=keepdims)

    def rows_of(v: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """One row for each result, and where in the rows of x the results are."""
        count = np.size(y)
        where = locate(x_.transpose(order).reshape(count, -1), axis=1)
        return v.transpose(order).reshape(count, -1), (np.arange(count), where)

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        dx, best = rows_of(np.zeros(x_.shape, dy.dtype))
        dx[best] = dy.reshape(-1)
        return (dx.reshape([x_.shape[i] for i in order]).transpose(np.argsort(order)),)

    def jvp(tangents: Sequence[Any]) -> Any:
        rows, best = rows_of(tangents[0])
        return rows[best].reshape(np.shape(y))

    return recorded(name, y, (x,), vjp, jvp, (axes, keepdims))
