"""Losses of pairs of elements: fused kernels for the value, its deterministic sum, and the gradient."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import checks
from .._types import Array, Constant, Reduction, Value
from . import _docs
from ._gradients import document_loss, given
from ._pairs import Checked, pair

__all__ = [
    "hinge_loss",
    "hinge_loss_backward",
    "huber_loss",
    "huber_loss_backward",
    "l1_loss",
    "l1_loss_backward",
    "mse_loss",
    "mse_loss_backward",
]


def _opposite(ops: Any, kernel: str, x: Array, *others: Any) -> Any:
    """The derivative by the target of a loss of x - target: minus that by x."""
    return -getattr(ops, kernel + "_backward")(given(None, x), x, *others)


# What the docstrings of losses of x - target share. These losses are differentiated by x and by target.
_DIFFERENCE = """
Parameters
----------
x : array_like or Tensor
    float32 or float64, any shape.
target : array_like or Tensor
    What it should be; of the shape and dtype of ``x``.
{parameters}reduction : {{"mean", "sum", "none"}}
    "mean" divides the sum by the number of elements.

Returns
-------
ndarray or Tensor
    Of shape () for "mean" and "sum", else of the shape of ``x``;
    a tensor if one of the two is. Without tensors means and sums are NumPy scalars.

Raises
------
TypeError
    For a dtype other than float32 and float64, or a mixture of them.
ValueError
    For different shapes{refused} or an unknown reduction.
"""


@_docs.sections(_DIFFERENCE, parameters="", refused=",")
def mse_loss(x: Value, target: Value, reduction: Reduction = "mean") -> Value:
    """Squared error ``(x - target)**2``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> float(F.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    return _MSE_LOSS(x, target, reduction)


def _difference(kernel: str, op: str, x: Any, target: Any, reduction: Any) -> Checked:
    return Checked(kernel, *checks.pair(op, x, target), (), checks.reduction_of(op, reduction))


_MSE_LOSS, _MSE_LOSS_BACKWARD = pair("mse_loss", partial(_difference, "mse_loss"), _opposite)


_L1_LOSS, _L1_LOSS_BACKWARD = pair("l1_loss", partial(_difference, "l1_loss"), _opposite)


_NEGATED = "Of the shape of ``x``; the gradient of ``target`` is minus this."


@document_loss("x, target, reduction", _NEGATED)
def mse_loss_backward(
    x: Constant, target: Constant, reduction: Reduction = "mean", dloss: Constant | None = None
) -> Array:
    """Gradient of `mse_loss` with respect to ``x``: ``2 * (x - target)``, scaled as the loss was.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.mse_loss_backward(np.array([1.0, 2.0]), np.array([1.0, 4.0]), "sum")
    array([ 0., -4.])
    """
    return _MSE_LOSS_BACKWARD(x, target, reduction, dloss)


@_docs.sections(_DIFFERENCE, parameters="", refused=",")
def l1_loss(x: Value, target: Value, reduction: Reduction = "mean") -> Value:
    """Absolute error ``|x - target|``; its derivative is 0 where both are equal.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> float(F.l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    return _L1_LOSS(x, target, reduction)


@document_loss("x, target, reduction", _NEGATED)
def l1_loss_backward(
    x: Constant, target: Constant, reduction: Reduction = "mean", dloss: Constant | None = None
) -> Array:
    """Gradient of `l1_loss` with respect to ``x``: ``sign(x - target)``, scaled as the loss was.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.l1_loss_backward(np.array([1.0, 2.0, 5.0]), np.array([1.0, 4.0, 2.0]), "sum")
    array([ 0., -1.,  1.])
    """
    return _L1_LOSS_BACKWARD(x, target, reduction, dloss)


@_docs.sections(
    _DIFFERENCE,
    parameters="delta : float\n    Where the one becomes the other; above 0.\n",
    refused=", a ``delta`` that is not above 0,",
)
def huber_loss(x: Value, target: Value, delta: float = 1.0, reduction: Reduction = "mean") -> Value:
    """Squared near 0, absolute beyond.

    ``d**2 / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``, with ``d = x - target``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.huber_loss(np.array([1.0, 4.0]), np.array([2.0, 0.0]), reduction="none")
    array([0.5, 3.5])
    """
    return _HUBER_LOSS(x, target, delta, reduction)


def _huber_loss(op: str, x: Any, target: Any, delta: Any, reduction: Any) -> Checked:
    arrays = checks.pair(op, x, target)
    parameters = (checks.real(op, "delta", delta, 0.0, open_low=True),)
    return Checked("huber_loss", *arrays, parameters, checks.reduction_of(op, reduction))


_HUBER_LOSS, _HUBER_LOSS_BACKWARD = pair("huber_loss", _huber_loss, _opposite)


@document_loss("x, target, delta, reduction", _NEGATED)
def huber_loss_backward(
    x: Constant, target: Constant, delta: float = 1.0, reduction: Reduction = "mean", dloss: Constant | None = None
) -> Array:
    """Gradient of `huber_loss` with respect to ``x``: ``x - target`` cut at ±delta, scaled as the loss was.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.huber_loss_backward(np.array([1.5, 4.0]), np.array([2.0, 0.0]), reduction="sum")
    array([-0.5,  1. ])
    """
    return _HUBER_LOSS_BACKWARD(x, target, delta, reduction, dloss)


def hinge_loss(x: Value, target: Constant, margin: float = 1.0, reduction: Reduction = "mean") -> Value:
    """Hinge of scores of two classes, ``max(0, margin - target * x)``.

    For more classes see `multi_margin_loss`.

    Parameters
    ----------
    x : array_like or Tensor
        Scores, float32 or float64, any shape.
    target : array_like
        1 or -1 for each, of the shape and dtype of ``x``; a constant for differentiation.
    margin : float
        The score from which on a right answer costs nothing; a number that the dtype of ``x`` holds.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the number of elements.

    Returns
    -------
    ndarray or Tensor
        Of shape () for "mean" and "sum", else of the shape of ``x``;
        a tensor if ``x`` is one. Without tensors means and sums are NumPy scalars.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, a mixture of them, or a target that requires a gradient.
    ValueError
        For different shapes, a target that is neither 1 nor -1, or an unknown reduction.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.hinge_loss(np.array([0.25, -3.0]), np.array([1.0, -1.0]), reduction="none")
    array([0.75, 0.  ])
    """
    return _HINGE_LOSS(x, target, margin, reduction)


def _hinge_loss(op: str, x: Any, target: Any, margin: Any, reduction: Any) -> Checked:
    x, target = checks.pair(op, x, target)
    checks.signs(op, "target", target)
    parameters = (checks.margin_of(op, margin, x),)
    return Checked("hinge_loss", x, target, parameters, checks.reduction_of(op, reduction))


_HINGE_LOSS, _HINGE_LOSS_BACKWARD = pair("hinge_loss", _hinge_loss)


@document_loss("x, target, margin, reduction")
def hinge_loss_backward(
    x: Constant, target: Constant, margin: float = 1.0, reduction: Reduction = "mean", dloss: Constant | None = None
) -> Array:
    """Gradient of `hinge_loss` with respect to ``x``: ``-target`` where the loss is above 0, scaled as it was.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.hinge_loss_backward(np.array([0.25, -3.0]), np.array([1.0, -1.0]), reduction="sum")
    array([-1.,  0.])
    """
    return _HINGE_LOSS_BACKWARD(x, target, margin, reduction, dloss)
