"""Losses (SPEC F)."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..checks import CrossEntropy

__all__ = ["cross_entropy", "cross_entropy_backward"]

Array = np.ndarray[Any, Any]


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of logits against class indices (SPEC F).

    ``-(1 - s) * w[t] * logp[t] - s / classes * sum over c of w[c] * logp[c]`` with ``logp = log_softmax(logits)``
    along axis 1 and smoothing s.

    Parameters
    ----------
    logits : array_like or Tensor, shape (n, classes, ...)
        Unnormalised scores, float32 or float64.
    target : array_like of int, shape (n, ...)
        The classes.
    weight : array_like, shape (classes,), optional
        Weights w of the classes, of the dtype of ``logits``; a constant for differentiation.
    ignore_index : int
        Positions with this target count for nothing.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the sum of ``w[target]`` over the positions that count (their number where
        there are no weights), and is NaN if none does.
    label_smoothing : float
        Share of the target that goes evenly to all classes, in [0, 1].

    Returns
    -------
    ndarray or Tensor
        Of shape () for "mean" and "sum", else of the shape of ``target``; a tensor if ``logits`` is one.

    Raises
    ------
    TypeError
        For logits other than float32 and float64, or targets that are not integers.
    ValueError
        For shapes that don't fit, or a target that is neither a class nor ``ignore_index``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.cross_entropy(np.array([[0.0, 0.0], [1e4, -1e4]]), np.array([0, 1]), reduction="none").round(2)
    array([6.9e-01, 2.0e+04])
    """
    c = checks.cross_entropy(
        "cross_entropy", raw(logits), raw(target), raw(weight), ignore_index, reduction, label_smoothing
    )
    ops = backend.current()
    loss, lse = ops.cross_entropy_forward(c.geometry, c.logits, c.target, c.weight, c.ignore_index, c.label_smoothing)
    total = _total(c)
    if reduction == "none":
        result = loss.reshape(c.logits.shape[:1] + c.logits.shape[2:])
    else:
        with np.errstate(all="ignore"):
            result = np.asarray(loss.sum(dtype=np.float64) / total, c.logits.dtype)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (_gradient(ops, c, dy, total, lse),)

    def jvp(tangents: Any) -> Array:
        # logits is the only input: its gradients for every position on its own, times the tangent.
        each = _gradient(ops, c, np.ones(loss.shape, c.logits.dtype).reshape(c.target.shape), total, lse)
        moved = (each * tangents[0]).sum(axis=1)
        return np.asarray(moved if reduction == "none" else moved.sum())

    return record("cross_entropy", result, (logits,), vjp, jvp)


def _total(c: CrossEntropy) -> float:
    """What the sum of the losses is divided by."""
    if c.reduction != "mean":
        return 1.0
    if c.weight is None and c.all_count:
        return float(c.target.size)
    target = c.target if c.all_count else c.target[c.target != c.ignore_index]
    return float(target.size if c.weight is None else c.weight[target].sum(dtype=np.float64))


def _gradient(ops: ModuleType, c: CrossEntropy, dloss: Array, total: float, lse: Array) -> Array:
    with np.errstate(all="ignore"):
        share = np.ascontiguousarray(np.broadcast_to(dloss / np.float64(total), dloss.shape or c.target.shape))
    share = share.astype(c.logits.dtype, copy=False).reshape(-1)
    return ops.cross_entropy_backward(  # type: ignore[no-any-return]
        c.geometry, share, c.logits, c.target, c.weight, c.ignore_index, c.label_smoothing, lse
    )


def cross_entropy_backward(
    logits: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    dloss: Any = None,
) -> Array:
    """Gradient of `cross_entropy` with respect to the logits (SPEC F).

    Parameters
    ----------
    logits, target, weight, ignore_index, reduction, label_smoothing
        What `cross_entropy` got.
    dloss : array_like, optional
        The gradient of the loss, of its shape; ones by default.

    Returns
    -------
    ndarray, shape (n, classes, ...)
        ``softmax(logits) - onehot(target)``, weighted, smoothed and scaled as the loss was.

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy`, and if ``dloss`` has not the shape of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.cross_entropy_backward(np.zeros((1, 2)), np.array([1]))
    array([[ 0.5, -0.5]])
    """
    op = "cross_entropy_backward"
    c = checks.cross_entropy(op, raw(logits), raw(target), raw(weight), ignore_index, reduction, label_smoothing)
    shape = c.logits.shape[:1] + c.logits.shape[2:] if reduction == "none" else ()
    dtype = c.logits.dtype
    dloss = np.ones(shape, dtype) if dloss is None else checks.operand(op, "dloss", raw(dloss), dtype, shape)
    ops = backend.current()
    _, lse = ops.cross_entropy_forward(c.geometry, c.logits, c.target, c.weight, c.ignore_index, c.label_smoothing)
    return _gradient(ops, c, dloss, _total(c), lse)
