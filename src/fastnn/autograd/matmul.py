"""Matrix multiplication of tensors with NumPy's rules, on the backend's 2-D and batched 3-D product."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from .core import _FLOATS, raw, record
from .ops import Gradients


def matmul(a: Any, b: Any) -> Any:
    """``a @ b``: matrices in the last two axes, leading axes broadcast, 1-D arguments are vectors.

    Parameters
    ----------
    a : Tensor or array_like
        (..., m, k) or (k,), float32 or float64.
    b : Tensor or array_like
        (..., k, n) or (k,), of the same dtype.

    Returns
    -------
    Tensor or ndarray
        (..., m, n), without m or n where the argument was a vector.

    Raises
    ------
    ValueError
        If the inner extents differ, the leading axes don't broadcast, or an argument is 0-d.
    TypeError
        If the dtypes differ or are neither float32 nor float64.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.tensor([[1.0, 2.0], [3.0, 4.0]]) @ [1.0, 1.0]
    tensor([3., 7.])
    """
    a_, b_ = np.asarray(raw(a)), np.asarray(raw(b))
    _check(a_, b_)
    # Vectors become a row and a column.
    a2 = a_[None, :] if a_.ndim == 1 else a_
    b2 = b_[:, None] if b_.ndim == 1 else b_
    product = _rows_by_matrix if b2.ndim == 2 else _batched
    y, backward = product(a2, b2)
    shape = y.shape[:-2] + y.shape[-2:-1] * (a_.ndim > 1) + y.shape[-1:] * (b_.ndim > 1)

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        da, db = backward(dy.reshape(y.shape), needs)
        return None if da is None else da.reshape(a_.shape), None if db is None else db.reshape(b_.shape)

    return record("matmul", y.reshape(shape), (a, b), vjp)


def _check(a: np.ndarray, b: np.ndarray) -> None:
    if a.dtype not in _FLOATS or a.dtype != b.dtype:
        raise TypeError(f"matmul: dtypes {a.dtype} and {b.dtype}, expected both float32 or both float64")
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape}, expected at least one axis each")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} differ in the inner extent")


def _rows_by_matrix(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Any]:
    """a (..., m, k) by one matrix (k, n): all rows at once."""
    ops = backend.current()
    rows = np.ascontiguousarray(a).reshape(-1, a.shape[-1]) if a.size else np.empty(_flat_shape(a), a.dtype)
    b = np.ascontiguousarray(b)
    y = ops.matmul(rows, b)

    def backward(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        dy = dy.reshape(rows.shape[0], b.shape[1])
        da = ops.matmul(dy, b, trans_b=True) if needs[0] else None
        db = ops.matmul(rows, dy, trans_a=True) if needs[1] else None
        return da, db

    return y.reshape(*a.shape[:-1], b.shape[1]), backward


def _flat_shape(a: np.ndarray) -> tuple[int, int]:
    return int(np.prod(a.shape[:-1])), a.shape[-1]


def _batched(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Any]:
    """a (..., m, k) by b (..., k, n), leading axes broadcast and joined to one."""
    ops = backend.current()
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"matmul: the leading axes of shapes {a.shape} and {b.shape} don't broadcast") from None
    count = int(np.prod(batch))
    a3 = np.ascontiguousarray(np.broadcast_to(a, batch + a.shape[-2:])).reshape(count, *a.shape[-2:])
    b3 = np.ascontiguousarray(np.broadcast_to(b, batch + b.shape[-2:])).reshape(count, *b.shape[-2:])
    y = ops.matmul(a3, b3)

    def fit(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        gradient = gradient.reshape(batch + shape[-2:])
        extra = len(batch) + 2 - len(shape)
        stretched = [i for i, n in enumerate(shape[:-2], extra) if n == 1 and batch[i] != 1]
        return np.asarray(gradient.sum(axis=(*range(extra), *stretched)))

    def backward(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        dy = dy.reshape(y.shape)
        da = fit(ops.matmul(dy, b3, trans_b=True), a.shape) if needs[0] else None
        db = fit(ops.matmul(a3, dy, trans_a=True), b.shape) if needs[1] else None
        return da, db

    return y.reshape(*batch, *y.shape[1:]), backward
