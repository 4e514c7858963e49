"""ONNX's reductions, and ops along an axis: softmax, running sums, the places of extremes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import absolute, differentiable, exp, log, raw, sqrt
from ..autograd import ops as tape
from ..autograd import reductions as sums
from .read_table import F, axes_of, axis_of, integers, is_float, op


def _reduction(name: str, reduce: Callable[[Any, tuple[int, ...], bool], Any]) -> None:
    def compute(
        x: Any,
        over: Any = None,
        /,
        *,
        axes: Sequence[int] | None = None,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Any:
        named = axes if over is None else integers(over)
        if not named:
            if noop_with_empty_axes:
                return reduce(x, (), bool(keepdims))
            named = tuple(range(x.ndim))
        return reduce(x, axes_of(named, x.ndim), bool(keepdims))

    op(name)(compute)


def _extreme(of_floats: Callable[..., Any], of_others: Any) -> Callable[[Any, tuple[int, ...], bool], Any]:
    def reduce(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
        if not axes:
            return x
        if is_float(x) and raw(x).size:
            return of_floats(x, axes, keep)
        least, most = _limits(raw(x).dtype)
        return of_others(raw(x), axis=axes, keepdims=keep, initial=least if of_others is np.max else most)

    return reduce


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """What the largest and the smallest of no elements are."""
    if dtype.kind == "f":
        return -np.inf, np.inf
    return (False, True) if dtype == bool else (np.iinfo(dtype).min, np.iinfo(dtype).max)


def _sum(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
    return sums.sum(x, axes, keep) if is_float(x) else np.sum(x, axis=axes, keepdims=keep, dtype=raw(x).dtype)


def _mean(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
    if not is_float(x):
        return np.mean(x, axis=axes, keepdims=keep).astype(raw(x).dtype)
    # NumPy warns of the mean of nothing, which is NaN.
    return sums.mean(x, axes, keep) if raw(x).size else tape.divide(sums.sum(x, axes, keep), 0.0)


def _product_forward(x: np.ndarray, *, axes: tuple[int, ...], keep: bool) -> tuple[np.ndarray, Any]:
    return np.asarray(np.prod(x, axis=axes, keepdims=keep, dtype=x.dtype)), (x, axes, keep)


def _others(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """For each element the product of the others, also where one is 0."""
    order = [i for i in range(x.ndim) if i not in axes] + list(axes)
    moved = x.transpose(order)
    kept = moved.shape[: x.ndim - len(axes)]
    rows = moved.reshape(*kept, int(np.prod(moved.shape[len(kept) :])))
    ones = np.ones((*kept, 1), x.dtype)
    before = np.cumprod(np.concatenate([ones, rows[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, rows[..., :0:-1]], -1), -1)[..., ::-1]
    return (before * after).reshape(moved.shape).transpose(np.argsort(order))


_PRODUCT = differentiable(
    _product_forward,
    lambda saved, dy: _others(saved[0], saved[1]) * (dy if saved[2] else np.expand_dims(dy, saved[1])),
    lambda saved, t: np.sum(_others(saved[0], saved[1]) * t, axis=saved[1], keepdims=saved[2]),
    name="ReduceProd",
)


def _of_integers_too(
    reduce: Callable[[Any, tuple[int, ...], bool], Any],
) -> Callable[[Any, tuple[int, ...], bool], Any]:
    """A reduction of floats, that of integers computed in float64 and cut off."""

    def compute(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
        if is_float(x):
            return reduce(x, axes, keep)
        return np.asarray(reduce(x.astype(np.float64), axes, keep)).astype(x.dtype)

    return compute


def _log_sum_exp(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
    top = np.max(raw(x), axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, raw(x).dtype.type(0))
    total = log(sums.sum(exp(tape.subtract(x, top)), axes, keep))
    return tape.add(total, top if keep else np.squeeze(top, axes))


_reduction("ReduceSum", _sum)
_reduction("ReduceMean", _mean)
_reduction("ReduceMax", _extreme(sums.max, np.max))
_reduction("ReduceMin", _extreme(sums.min, np.min))
_reduction("ReduceProd", lambda x, axes, keep: _PRODUCT(x, axes=axes, keep=keep))
_reduction("ReduceSumSquare", lambda x, axes, keep: _sum(tape.multiply(x, x), axes, keep))
_reduction("ReduceL1", lambda x, axes, keep: _sum(absolute(x), axes, keep))
_reduction("ReduceL2", _of_integers_too(lambda x, axes, keep: sqrt(sums.sum(tape.multiply(x, x), axes, keep))))
_reduction("ReduceLogSum", _of_integers_too(lambda x, axes, keep: log(sums.sum(x, axes, keep))))
_reduction("ReduceLogSumExp", _of_integers_too(_log_sum_exp))


@op("Softmax")
def _softmax(x: Any, /, *, axis: int = -1) -> Any:
    return F.softmax(x, axis_of(axis, x.ndim))


@op("LogSoftmax")
def _log_softmax(x: Any, /, *, axis: int = -1) -> Any:
    return F.log_softmax(x, axis_of(axis, x.ndim))


@op("Hardmax")
def _hardmax(x: Any, /, *, axis: int = -1) -> Any:
    values = raw(x)
    place = np.argmax(values, axis=axis_of(axis, x.ndim), keepdims=True)
    y = np.zeros_like(values)
    np.put_along_axis(y, place, 1, axis)
    return y


def _place(name: str, locate: Any) -> None:
    def compute(x: Any, /, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
        values, axis = raw(x), axis_of(axis, x.ndim)
        if not select_last_index:
            return locate(values, axis=axis, keepdims=bool(keepdims))
        return values.shape[axis] - 1 - locate(np.flip(values, axis), axis=axis, keepdims=bool(keepdims))

    op(name)(compute)


_place("ArgMax", np.argmax)
_place("ArgMin", np.argmin)


def _running(
    x: np.ndarray, axis: int, exclusive: int, reverse: int, accumulate: Any = np.cumsum, first: Any = 0
) -> Any:
    x = np.flip(x, axis) if reverse else x
    y = accumulate(x, axis=axis, dtype=x.dtype)
    if exclusive:
        start = [slice(None)] * x.ndim
        start[axis] = slice(0, 1)
        rest = [slice(None)] * x.ndim
        rest[axis] = slice(0, -1)
        y = np.concatenate([np.full_like(y[tuple(start)], first), y[tuple(rest)]], axis)
    return np.flip(y, axis) if reverse else y


_CUMSUM = differentiable(
    lambda x, *, axis, exclusive, reverse: (_running(x, axis, exclusive, reverse), (axis, exclusive, reverse)),
    lambda saved, dy: _running(dy, saved[0], saved[1], not saved[2]),
    lambda saved, t: _running(t, *saved),
    name="CumSum",
)


@op("CumSum")
def _cumsum(x: Any, axis: Any, /, *, exclusive: int = 0, reverse: int = 0) -> Any:
    return _CUMSUM(x, axis=axis_of(integers(axis)[0], x.ndim), exclusive=exclusive, reverse=reverse)


@op("TopK", outputs=2)
def _topk(x: Any, k: Any, /, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    values, axis, (count, *others) = raw(x), axis_of(axis, x.ndim), integers(k)
    if others or np.ndim(raw(k)) != 1:
        raise ValueError(f"k must be a vector of one number, got shape {np.shape(raw(k))}")
    if not 0 <= count <= values.shape[axis]:
        raise ValueError(f"k = {count} of {values.shape[axis]} elements")
    keys = np.flip(values, axis) if largest else values
    order = np.argsort(keys, axis=axis, kind="stable")
    order = values.shape[axis] - 1 - np.flip(order, axis) if largest else order  # of equal ones the first
    index = np.take(order, np.arange(count), axis).astype(np.int64)
    places: list[Any] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    places[axis] = index
    return x[tuple(places)], index
