"""Losses of probabilities, element by element."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .. import checks
from .._types import Array, Constant, Reduction, Value
from ..backend.reference._common import weighted
from ._gradients import document_loss
from ._pairs import Checked, pair

__all__ = ["binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits_backward", "kl_div", "kl_div_backward"]


def kl_div(
    x: Value, target: Value, reduction: Literal["mean", "batchmean", "sum", "none"] = "mean", log_target: bool = False
) -> Value:
    """Kullback-Leibler divergence, ``target * (log(target) - x)``.

    ``x`` holds logarithms of probabilities (`log_softmax`); where ``target`` is 0, so is the loss, whatever ``x`` is but NaN.

    Parameters
    ----------
    x : array_like or Tensor
        Logarithms of probabilities, float32 or float64, any shape.
    target : array_like or Tensor
        Probabilities, of the shape and dtype of ``x``. The derivative by one that is 0 is infinite.
    reduction : {"mean", "batchmean", "sum", "none"}
        "mean" divides the sum by the number of elements, "batchmean" by the first extent: that is the divergence.
    log_target : bool
        Whether ``target`` holds logarithms too.

    Returns
    -------
    ndarray or Tensor
        Of the shape of ``x`` for "none", else of shape ();
        a tensor if one of the two is. Without tensors means and sums are NumPy scalars.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For different shapes, probabilities outside [0, 1], or an unknown reduction.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    >>> F.kl_div(np.log(q), p, "sum").round(4)
    np.float64(0.1438)
    """
    return _KL_DIV(x, target, reduction, log_target)


def _kl_div(op: str, x: Any, target: Any, reduction: Any, log_target: Any) -> Checked:
    x, target = checks.pair(op, x, target)
    logarithms = checks.flag(op, "log_target", log_target)
    if not logarithms:
        checks.within_unit(op, "target", target)
    reduction = checks.reduction_of(op, reduction, *(("batchmean",) if x.ndim else ()))
    return Checked("kl_div_log" if logarithms else "kl_div", x, target, (), reduction)


def _kl_div_by_target(ops: Any, kernel: str, x: Array, target: Array) -> Any:
    """log t + 1 - x; of a logarithm e^t (t - x + 1), 0 where e^t is."""
    if kernel == "kl_div_log":
        p = np.exp(target)
        return np.where((p == 0) & ~np.isnan(x), x.dtype.type(0), p * (target - x + 1))
    # Where x is -inf, any probability above 0 costs infinity.
    return np.where(np.isneginf(x), x.dtype.type(np.inf), np.log(target) + 1 - x)


_KL_DIV, _KL_DIV_BACKWARD = pair("kl_div", _kl_div, _kl_div_by_target)


@document_loss(
    "x, target, reduction, log_target", "Of the shape of ``x``. The gradient of ``target`` only the tape gives."
)
def kl_div_backward(
    x: Constant,
    target: Constant,
    reduction: Reduction = "mean",
    log_target: bool = False,
    dloss: Constant | None = None,
) -> Array:
    """Gradient of `kl_div` with respect to ``x``: ``-target``, or ``-exp(target)``, scaled as the loss was.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    >>> F.kl_div_backward(np.log(q), p, "sum")
    array([[-0.5, -0.5]])
    """
    return _KL_DIV_BACKWARD(x, target, reduction, log_target, dloss)


def binary_cross_entropy_with_logits(
    x: Value,
    target: Value,
    weight: Constant | None = None,
    reduction: Reduction = "mean",
    pos_weight: Constant | None = None,
) -> Value:
    """Cross-entropy of two classes from logits, without overflow.

    ``weight * ((1 - target) * softplus(x) + pos_weight * target * softplus(-x))``.

    Parameters
    ----------
    x : array_like or Tensor
        Logits of the class 1, float32 or float64, any shape.
    target : array_like or Tensor
        Its probability, of the shape and dtype of ``x``.
    weight, pos_weight : array_like, optional
        Factors of the whole and of the part of the class 1, of the dtype of ``x``, broadcast to its shape; constants.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the number of elements.

    Returns
    -------
    ndarray or Tensor
        Of shape () for "mean" and "sum", else of the shape of ``x``;
        a tensor if one of ``x`` and ``target`` is. Without tensors means and sums are NumPy scalars.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, a mixture of them, or a factor that requires a gradient.
    ValueError
        For shapes that don't fit, a target outside [0, 1], or an unknown reduction.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.binary_cross_entropy_with_logits(np.array([0.0, -1e4]), np.array([1.0, 0.0]), reduction="none").round(4)
    array([0.6931, 0.    ])
    """
    return _BINARY_CROSS_ENTROPY_WITH_LOGITS(x, target, weight, reduction, pos_weight)


def _binary_loss(op: str, x: Any, target: Any, weight: Any, reduction: Any, pos_weight: Any) -> Checked:
    x, target = checks.pair(op, x, target)
    checks.within_unit(op, "target", target)
    factors = checks.broadcast(op, "weight", weight, x), checks.broadcast(op, "pos_weight", pos_weight, x)
    return Checked("bce_with_logits", x, target, factors, checks.reduction_of(op, reduction))


def _binary_by_target(
    ops: Any, kernel: str, x: Array, target: Array, weight: Array | None, pos_weight: Array | None
) -> Any:
    """w (p softplus(-x) - softplus(x)), which is -w x where p is 1."""
    zero = x.dtype.type(0)
    slope = -x if pos_weight is None else weighted(pos_weight, np.logaddexp(zero, -x)) - np.logaddexp(zero, x)
    return slope if weight is None else weighted(weight, slope)


_BINARY_CROSS_ENTROPY_WITH_LOGITS, _BINARY_CROSS_ENTROPY_WITH_LOGITS_BACKWARD = pair(
    "binary_cross_entropy_with_logits", _binary_loss, _binary_by_target
)


@document_loss(
    "x, target, weight, reduction, pos_weight",
    "Of the shape of ``x``: ``sigmoid(x) - target``, weighted and scaled as the loss was. The gradient of ``target`` only "
    "the tape gives.",
)
def binary_cross_entropy_with_logits_backward(
    x: Constant,
    target: Constant,
    weight: Constant | None = None,
    reduction: Reduction = "mean",
    pos_weight: Constant | None = None,
    dloss: Constant | None = None,
) -> Array:
    """Gradient of `binary_cross_entropy_with_logits` with respect to the logits.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.binary_cross_entropy_with_logits_backward(np.array([0.0, 1e4]), np.array([1.0, 0.0]), reduction="sum")
    array([-0.5,  1. ])
    """
    return _BINARY_CROSS_ENTROPY_WITH_LOGITS_BACKWARD(x, target, weight, reduction, pos_weight, dloss)
