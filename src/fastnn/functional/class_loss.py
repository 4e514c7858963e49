"""Losses of scores and class numbers: negative log-likelihood, multi-class hinge."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array, Constant, Reduction, Value
from ..checks import CrossEntropy, Softmax
from ._gradients import document_loss, given, loss_gradient
from ._op import Plan, Tape, operation
from .loss import class_gradient, class_plan, over_classes

__all__ = ["multi_margin_loss", "multi_margin_loss_backward", "nll_loss", "nll_loss_backward"]


def nll_loss(
    x: Value, target: Constant, weight: Constant | None = None, ignore_index: int = -100, reduction: Reduction = "mean"
) -> Value:
    """Negative log-likelihood ``-weight[target] * x[target]`` of logarithms of probabilities.

    After `log_softmax` this is `cross_entropy`, which is faster and keeps less.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, classes, ...)
        Logarithms of probabilities, float32 or float64.
    target : array_like of int, shape (n, ...)
        The classes.
    weight : array_like, shape (classes,), optional
        Weights of the classes, of the dtype of ``x``; a constant for differentiation.
    ignore_index : int
        Positions with this target count for nothing.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the sum of ``weight[target]`` over the positions that count.

    Returns
    -------
    ndarray or Tensor
        Of shape () for "mean" and "sum", else of the shape of ``target``;
        a tensor if ``x`` is one. Without tensors means and sums are NumPy scalars.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, targets that are not integers, or a ``weight`` that requires a
        gradient.
    ValueError
        For shapes that don't fit, a target that is neither a class nor ``ignore_index``, or an unknown reduction.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.nll_loss(np.array([[-0.5, -1.0], [-2.0, -0.25]]), np.array([0, 1]), reduction="none")
    array([0.5 , 0.25])
    """
    return _NLL_LOSS(x, target, weight, ignore_index, reduction)


def _nll_loss_plan(x: Any, *arguments: Any) -> Plan:
    c = checks.nll_loss("nll_loss", x, *arguments)
    return class_plan(c, "nll_loss_forward", _nll_arguments(c), tape=Tape("nll_loss_backward", _nll_jvp))


def _nll_arguments(c: CrossEntropy) -> tuple[Any, ...]:
    return c.geometry, c.logits, c.target, c.weight, c.ignore_index, c.divisor


def _nll_jvp(ops: Any, tangents: Any, y: Array, *arguments: Any) -> Array:
    g, x, *others = arguments
    ones = np.ones(x.shape[:1] + x.shape[2:], x.dtype)
    return over_classes(ops.nll_loss_backward(g, ones, x, *others) * tangents[0], y)


_NLL_LOSS = operation("nll_loss", _nll_loss_plan, ("x",))


@document_loss("x, target, weight, ignore_index, reduction")
def nll_loss_backward(
    x: Constant,
    target: Constant,
    weight: Constant | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    dloss: Constant | None = None,
) -> Array:
    """Gradient of `nll_loss` with respect to ``x``: ``-weight[target]`` at the target, scaled as the loss was.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.nll_loss_backward(np.array([[-0.5, -1.0], [-2.0, -0.25]]), np.array([0, 1]))
    array([[-0.5,  0. ],
           [ 0. , -0.5]])
    """
    return _NLL_LOSS_BACKWARD(x, target, weight, ignore_index, reduction, dloss)


def _nll_gradient(dloss: Array | None, g: Softmax, x: Array, *others: Any) -> Array:
    return backend.current().nll_loss_backward(g, given(dloss, x), x, *others)


_NLL_LOSS_BACKWARD = class_gradient("nll_loss_backward", "x", checks.nll_loss, _nll_arguments, _nll_gradient)


def multi_margin_loss(
    x: Value,
    target: Constant,
    p: int = 1,
    margin: float = 1.0,
    weight: Constant | None = None,
    reduction: Reduction = "mean",
) -> Value:
    """Hinge of scores of several classes.

    ``weight[t] / classes * sum over c != t of max(0, margin - (x[t] - x[c]))**p``. For two classes see `hinge_loss`.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, classes)
        Scores, float32 or float64.
    target : array_like of int, shape (n,)
        The classes t.
    p : {1, 2}
        Whether the hinges are squared.
    margin : float
        By how much the score of the right class shall be larger than the others; a number that the dtype of ``x`` holds.
    weight : array_like, shape (classes,), optional
        Weights of the classes, of the dtype of ``x``; a constant for differentiation.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by n.

    Returns
    -------
    ndarray or Tensor
        Of shape () for "mean" and "sum", else (n,);
        a tensor if ``x`` is one. Without tensors means and sums are NumPy scalars.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, targets that are not integers, or a ``weight`` that requires a
        gradient.
    ValueError
        For shapes that don't fit, a target that is not a class, another ``p``, or an unknown reduction.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.multi_margin_loss(np.array([[0.25, 0.75, -4.0]]), np.array([0]), reduction="sum")
    np.float64(0.5)
    """
    return _MULTI_MARGIN_LOSS(x, target, p, margin, weight, reduction)


def _multi_margin_plan(x: Any, *arguments: Any) -> Plan:
    clean = checks.multi_margin_loss("multi_margin_loss", x, *arguments)
    tape = Tape("multi_margin_loss_backward", _multi_margin_jvp)
    return Plan("multi_margin_loss_forward", clean, tape=tape, guard=_multi_margin_guard(*clean))


def _multi_margin_guard(x: Array, target: Array, *others: Any) -> tuple[Any, ...]:
    return "numbers_below", target, x.shape[1]


def _multi_margin_jvp(ops: Any, tangents: Any, y: Array, *arguments: Any) -> Array:
    x = arguments[0]
    slope = ops.multi_margin_loss_backward(np.ones(len(x), x.dtype), *arguments)
    return over_classes(slope * tangents[0], y)


_MULTI_MARGIN_LOSS = operation("multi_margin_loss", _multi_margin_plan, ("x",))


@document_loss("x, target, p, margin, weight, reduction")
def multi_margin_loss_backward(
    x: Constant,
    target: Constant,
    p: int = 1,
    margin: float = 1.0,
    weight: Constant | None = None,
    reduction: Reduction = "mean",
    dloss: Constant | None = None,
) -> Array:
    """Gradient of `multi_margin_loss` with respect to ``x``.

    With ``h[c] = max(0, margin - (x[t] - x[c]))`` it is ``weight[t] / classes * (1 where h[c] > 0, for p = 2: 2 * h[c])``
    at each other class, and minus the sum of those at t; scaled as the loss was.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.multi_margin_loss_backward(np.array([[0.25, 0.75, -4.0, 0.5]]), np.array([0]), reduction="sum")
    array([[-0.5 ,  0.25,  0.  ,  0.25]])
    """
    return _MULTI_MARGIN_LOSS_BACKWARD(x, target, p, margin, weight, reduction, dloss)


def _multi_margin_gradient_plan(*arguments: Any) -> Plan:
    op = "multi_margin_loss_backward"
    *of_loss, dloss = arguments
    clean = checks.multi_margin_loss(op, *of_loss)
    x, *_, divisor = clean
    dloss = checks.optional(op, "dloss", dloss, x.dtype, x.shape[:1] if divisor is None else ())
    return loss_gradient(op, dloss, clean, _multi_margin_guard(*clean))


_MULTI_MARGIN_LOSS_BACKWARD = operation("multi_margin_loss_backward", _multi_margin_gradient_plan)
