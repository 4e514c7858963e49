"""Losses of pairs of elements: fused kernels for the value, its deterministic sum, and the gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from .. import _docs, backend, checks
from .._types import Array, Constant, Reduction, Value
from ..backend.reference._common import shares, weighted
from ._gradients import document_loss, given
from ._op import Call, Plan, Tape, operation
from ._tangents import total

__all__ = [
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "hinge_loss",
    "hinge_loss_backward",
    "huber_loss",
    "huber_loss_backward",
    "kl_div",
    "kl_div_backward",
    "l1_loss",
    "l1_loss_backward",
    "mse_loss",
    "mse_loss_backward",
]


def _divisor(reduction: str, x: Array) -> float:
    """What each loss is divided by."""
    if reduction == "batchmean":
        return float(x.shape[0])
    return float(x.size) if reduction == "mean" else 1.0


def _sum_divisor(reduction: str, x: Array) -> float | None:
    """What the sum of the losses is divided by; None where there is no sum."""
    return None if reduction == "none" else _divisor(reduction, x)


class _Checked(NamedTuple):
    """The arguments of a loss, clean."""

    kernel: str
    x: Array
    target: Array
    parameters: tuple[Any, ...]
    reduction: str


# A loss's check: (the name of the public function, its arguments)
_Check = Callable[..., _Checked]

# What the targets of a kernel must be besides: a predicate of the bindings and its arguments.
_UNIT = ("values_within", 0.0, 1.0)
_VALUES: dict[str, tuple[Any, ...]] = {"bce_with_logits": _UNIT, "hinge_loss": ("values_are_signs",), "kl_div": _UNIT}


# dl/dtarget of each pair: (backend, kernel, x, target, *parameters)
_ByTarget = Callable[..., Any]


def _tape_of(kernel: str, by_target: _ByTarget | None) -> Tape:
    """Of what a loss's function takes the last is the divisor of the sum, None where there is none."""
    backward = kernel + "_backward"

    def vjp(ops: Any, dy: Array, needs: tuple[bool, ...], *arguments: Any) -> tuple[Array | None, ...]:
        *kept, divisor = arguments
        divisor = 1.0 if divisor is None else divisor
        dx = getattr(ops, backward)(dy, *kept, divisor) if needs[0] else None
        if by_target is None:
            return (dx,)
        if not needs[1]:
            return dx, None
        with np.errstate(all="ignore"):
            return dx, np.asarray(shares(dy, divisor) * by_target(ops, kernel, *kept))

    def jvp(ops: Any, tangents: Any, y: Array, *arguments: Any) -> Array:
        x, *_, divisor = arguments
        ones = np.ones(() if divisor is not None else x.shape, x.dtype)
        slopes = vjp(ops, ones, tuple(t is not None for t in tangents), *arguments)
        moved = total(*(None if t is None else slope * t for slope, t in zip(slopes, tangents, strict=True)))
        return np.asarray(moved if divisor is None else moved.sum())

    return Tape(vjp, jvp)


def _opposite(ops: Any, kernel: str, x: Array, *others: Any) -> Any:
    """Of a loss of the difference: -dl/dx."""
    return -getattr(ops, kernel + "_backward")(given(None, x), x, *others)


def _plan(op: str, check: _Check, by_target: _ByTarget | None, x: Any, target: Any, *options: Any) -> Plan:
    kernel, x, target, parameters, reduction = check(op, x, target, *options)
    arguments = (x, target, *parameters, _sum_divisor(reduction, x))
    return Plan(kernel + "_forward", arguments, tape=_tape_of(kernel, by_target), guard=_guard(kernel, target))


def _guard(kernel: str, target: Array) -> tuple[Any, ...] | None:
    values = _VALUES.get(kernel)
    return None if values is None else (values[0], target, *values[1:])


def _gradient(function: str, dloss: Array | None, x: Array, *others: Any) -> Array:
    return getattr(backend.current(), function)(given(dloss, x), x, *others)


def _gradient_plan(op: str, check: _Check, *arguments: Any) -> Plan:
    *of_loss, dloss = arguments
    kernel, x, target, parameters, reduction = check(op, *of_loss)
    dloss = checks.optional(op, "dloss", dloss, x.dtype, x.shape if reduction == "none" else ())
    function, clean = kernel + "_backward", (x, target, *parameters, _divisor(reduction, x))
    if dloss is None:
        return Plan(_gradient, (function, None, *clean), guard=_guard(kernel, target))
    return Plan(function, (dloss, *clean), guard=_guard(kernel, target))


def _pair(name: str, check: _Check, by_target: _ByTarget | None = None) -> tuple[Call, Call]:
    """A loss and its gradient."""
    forward = operation(name, partial(_plan, name, check, by_target), ("x",) if by_target is None else ("x", "target"))
    op = name + "_backward"
    return forward, operation(op, partial(_gradient_plan, op, check))


# Of losses of the difference of the two, either of which may be differentiated.
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


def _difference(kernel: str, op: str, x: Any, target: Any, reduction: Any) -> _Checked:
    return _Checked(kernel, *checks.pair(op, x, target), (), checks.reduction_of(op, reduction))


_MSE_LOSS, _MSE_LOSS_BACKWARD = _pair("mse_loss", partial(_difference, "mse_loss"), _opposite)
_L1_LOSS, _L1_LOSS_BACKWARD = _pair("l1_loss", partial(_difference, "l1_loss"), _opposite)

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


def _huber_loss(op: str, x: Any, target: Any, delta: Any, reduction: Any) -> _Checked:
    arrays = checks.pair(op, x, target)
    parameters = (checks.real(op, "delta", delta, 0.0, open_low=True),)
    return _Checked("huber_loss", *arrays, parameters, checks.reduction_of(op, reduction))


_HUBER_LOSS, _HUBER_LOSS_BACKWARD = _pair("huber_loss", _huber_loss, _opposite)


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


def _hinge_loss(op: str, x: Any, target: Any, margin: Any, reduction: Any) -> _Checked:
    x, target = checks.pair(op, x, target)
    checks.signs(op, "target", target)
    parameters = (checks.margin_of(op, margin, x),)
    return _Checked("hinge_loss", x, target, parameters, checks.reduction_of(op, reduction))


_HINGE_LOSS, _HINGE_LOSS_BACKWARD = _pair("hinge_loss", _hinge_loss)


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


def _kl_div(op: str, x: Any, target: Any, reduction: Any, log_target: Any) -> _Checked:
    x, target = checks.pair(op, x, target)
    logarithms = checks.flag(op, "log_target", log_target)
    if not logarithms:
        checks.within_unit(op, "target", target)
    reduction = checks.reduction_of(op, reduction, *(("batchmean",) if x.ndim else ()))
    return _Checked("kl_div_log" if logarithms else "kl_div", x, target, (), reduction)


def _kl_div_by_target(ops: Any, kernel: str, x: Array, target: Array) -> Any:
    """log t + 1 - x; of a logarithm e^t (t - x + 1), 0 where e^t is."""
    if kernel == "kl_div_log":
        p = np.exp(target)
        return np.where((p == 0) & ~np.isnan(x), x.dtype.type(0), p * (target - x + 1))
    # Where x is -inf, any probability above 0 costs infinity.
    return np.where(np.isneginf(x), x.dtype.type(np.inf), np.log(target) + 1 - x)


_KL_DIV, _KL_DIV_BACKWARD = _pair("kl_div", _kl_div, _kl_div_by_target)


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


def _binary_loss(op: str, x: Any, target: Any, weight: Any, reduction: Any, pos_weight: Any) -> _Checked:
    x, target = checks.pair(op, x, target)
    checks.within_unit(op, "target", target)
    factors = checks.broadcast(op, "weight", weight, x), checks.broadcast(op, "pos_weight", pos_weight, x)
    return _Checked("bce_with_logits", x, target, factors, checks.reduction_of(op, reduction))


def _binary_by_target(
    ops: Any, kernel: str, x: Array, target: Array, weight: Array | None, pos_weight: Array | None
) -> Any:
    """w (p softplus(-x) - softplus(x)), which is -w x where p is 1."""
    zero = x.dtype.type(0)
    slope = -x if pos_weight is None else weighted(pos_weight, np.logaddexp(zero, -x)) - np.logaddexp(zero, x)
    return slope if weight is None else weighted(weight, slope)


_BINARY_CROSS_ENTROPY_WITH_LOGITS, _BINARY_CROSS_ENTROPY_WITH_LOGITS_BACKWARD = _pair(
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
