"""Losses of pairs of elements (SPEC F): fused kernels for the value, its deterministic sum, and the gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import _docs, backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, Tape, planned, register, unboxed
from ..backend.reference._common import shares, weighted
from ._gradients import register_gradient
from ._tangents import total

__all__ = [
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "mse_loss_backward",
]

Array = np.ndarray[Any, Any]


def _divisor(reduction: str, x: Array) -> float:
    """What each loss is divided by."""
    if reduction == "batchmean":
        return float(x.shape[0])
    return float(x.size) if reduction == "mean" else 1.0


def _sum_divisor(reduction: str, x: Array) -> float | None:
    """What the sum of the losses is divided by; None where there is no sum."""
    return None if reduction == "none" else _divisor(reduction, x)


class _Checked(NamedTuple):
    """The arguments of a loss, clean, and what its target must be besides: a predicate of the bindings."""

    kernel: str
    x: Array
    target: Array
    parameters: tuple[Any, ...]
    reduction: str
    values: tuple[Any, ...] = ()


# dl/dtarget of each pair: (backend, kernel, x, target, *parameters)
_ByTarget = Callable[..., Any]


def _computed(
    op: str, check: Callable[..., _Checked], by_target: _ByTarget | None, x: Any, target: Any, *arguments: Any
) -> Any:
    """Check, compute and record; without ``by_target`` the target is a constant."""
    inputs = (x,) if by_target is None else (x, target)
    c = check(*map(raw, inputs), *(x, target)[len(inputs) :], *arguments)
    ops = backend.current()
    kept = (c.x, c.target, *c.parameters)
    divisor = _sum_divisor(c.reduction, c.x)
    by_inputs = _vjp_of(c.kernel, by_target, divisor)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return by_inputs(ops, dy, needs, *kept)

    def jvp(tangents: Any) -> Array:
        each = c.reduction == "none"
        slopes = vjp(np.ones(c.x.shape if each else (), c.x.dtype), tuple(t is not None for t in tangents))
        moved = total(*(None if t is None else slope * t for slope, t in zip(slopes, tangents, strict=True)))
        return np.asarray(moved if each else moved.sum())

    return record(op, getattr(ops, c.kernel + "_forward")(*kept, divisor), inputs, vjp, jvp)


def _vjp_of(kernel: str, by_target: _ByTarget | None, divisor: float | None) -> Callable[..., tuple[Array | None, ...]]:
    """What gives the gradients of the inputs, for one that divides the sum as told: ``vjp(ops, dy, needs, x, target, *parameters)``."""
    backward = kernel + "_backward"
    if divisor is None:
        divisor = 1.0

    def vjp(
        ops: Any, dy: Array, needs: tuple[bool, ...], x: Array, target: Array, *parameters: Any
    ) -> tuple[Array | None, ...]:
        dx = getattr(ops, backward)(dy, x, target, *parameters, divisor) if needs[0] else None
        if by_target is None:
            return (dx,)
        if not needs[1]:
            return dx, None
        with np.errstate(all="ignore"):
            return dx, np.asarray(shares(dy, divisor) * by_target(ops, kernel, x, target, *parameters))

    return vjp


def _opposite(ops: Any, kernel: str, x: Array, *others: Any) -> Any:
    """Of a loss of the difference: -dl/dx."""
    return -getattr(ops, kernel + "_backward")(_one(x), x, *others)


def _plan(check: Callable[..., _Checked], by_target: _ByTarget | None, *arguments: Any) -> Plan:
    kernel, x, target, parameters, reduction, values = check(*arguments)
    guard = (values[0], target, *values[1:]) if values else None
    divisor = _sum_divisor(reduction, x)
    clean = (x, target, *parameters)
    tape = Tape(_vjp_of(kernel, by_target, divisor), tuple(range(len(clean))))
    return Plan(kernel + "_forward", (*clean, divisor), guard, tape=tape)


def _register(name: str, check: Callable[..., _Checked], by_target: _ByTarget | None = None) -> None:
    plan = partial(_plan, check, by_target)
    register(name, partial(_computed, name, check, by_target), plan, plan, (0,) if by_target is None else (0, 1))


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
    a tensor if one of the two is. Without tensors a NumPy scalar stands for shape ().

Raises
------
TypeError
    For a dtype other than float32 and float64, or a mixture of them.
ValueError
    For different shapes{refused} or an unknown reduction.
"""


@_docs.sections(_DIFFERENCE, parameters="", refused=",")
def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared error ``(x - target)**2`` (SPEC F).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> float(F.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    return unboxed(planned["mse_loss"](x, target, reduction))


def _difference(op: str, x: Any, target: Any, reduction: Any) -> _Checked:
    return _Checked(op, *checks.pair(op, x, target), (), checks.reduction_of(op, reduction))


_register("mse_loss", partial(_difference, "mse_loss"), _opposite)
_register("l1_loss", partial(_difference, "l1_loss"), _opposite)


def mse_loss_backward(x: Any, target: Any, reduction: str = "mean", dloss: Any = None) -> Array:
    """Gradient of `mse_loss` with respect to ``x``: ``2 * (x - target)``, scaled as the loss was (SPEC F).

    Parameters
    ----------
    x, target, reduction
        What `mse_loss` got.
    dloss : array_like, optional
        The gradient of the loss, of its shape; ones by default.

    Returns
    -------
    ndarray
        Of the shape of ``x``; the gradient of ``target`` is minus this.

    Raises
    ------
    TypeError, ValueError
        As `mse_loss`, and if ``dloss`` has not the shape of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.mse_loss_backward(np.array([1.0, 2.0]), np.array([1.0, 4.0]), "sum")
    array([ 0., -4.])
    """
    return planned["mse_loss_backward"](x, target, reduction, dloss)  # type: ignore[no-any-return]


def _checked_mse(x: Any, target: Any, reduction: Any, dloss: Any) -> tuple[Array, Array, Array | None, float]:
    op = "mse_loss_backward"
    x, target = checks.pair(op, x, target)
    reduction = checks.reduction_of(op, reduction)
    return x, target, _dloss(op, dloss, reduction, x), _divisor(reduction, x)


def _dloss(op: str, dloss: Any, reduction: str, x: Array) -> Array | None:
    return checks.optional(op, "dloss", dloss, x.dtype, x.shape if reduction == "none" else ())


def _one(x: Array) -> Array:
    """The gradient of the loss where none is given: one number for all elements."""
    return np.ones((), x.dtype)


def _mse_gradient(x: Array, target: Array, dloss: Array | None, divisor: float) -> Array:
    given = _one(x) if dloss is None else dloss
    return backend.current().mse_loss_backward(given, x, target, divisor)  # type: ignore[no-any-return]


register_gradient("mse_loss_backward", _checked_mse, _mse_gradient)


@_docs.sections(_DIFFERENCE, parameters="", refused=",")
def l1_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Absolute error ``|x - target|``; its derivative is 0 where both are equal (SPEC F).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> float(F.l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    return unboxed(planned["l1_loss"](x, target, reduction))


@_docs.sections(
    _DIFFERENCE,
    parameters="delta : float\n    Where the one becomes the other; above 0.\n",
    refused=", a ``delta`` that is not above 0,",
)
def huber_loss(x: Any, target: Any, delta: float = 1.0, reduction: str = "mean") -> Any:
    """Squared near 0, absolute beyond (SPEC F).

    ``d**2 / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``, with ``d = x - target``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.huber_loss(np.array([1.0, 4.0]), np.array([2.0, 0.0]), reduction="none")
    array([0.5, 3.5])
    """
    return unboxed(planned["huber_loss"](x, target, delta, reduction))


def _huber_loss(x: Any, target: Any, delta: Any, reduction: Any) -> _Checked:
    op = "huber_loss"
    arrays = checks.pair(op, x, target)
    parameters = (checks.real(op, "delta", delta, 0.0, open_low=True),)
    return _Checked(op, *arrays, parameters, checks.reduction_of(op, reduction))


_register("huber_loss", _huber_loss, _opposite)


def hinge_loss(x: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Hinge of scores of two classes, ``max(0, margin - target * x)`` (SPEC F).

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
        a tensor if ``x`` is one. Without tensors a NumPy scalar stands for shape ().

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
    return unboxed(planned["hinge_loss"](x, target, margin, reduction))


def _hinge_loss(x: Any, target: Any, margin: Any, reduction: Any) -> _Checked:
    op = "hinge_loss"
    x, target = checks.pair(op, x, target)
    checks.signs(op, "target", target)
    parameters = (checks.margin_of(op, margin, x),)
    return _Checked(op, x, target, parameters, checks.reduction_of(op, reduction), ("values_are_signs",))


_register("hinge_loss", _hinge_loss)


def kl_div(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence, ``target * (log(target) - x)`` (SPEC F).

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
        a tensor if one of the two is. Without tensors a NumPy scalar stands for shape ().

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
    return unboxed(planned["kl_div"](x, target, reduction, log_target))


_UNIT = ("values_within", 0.0, 1.0)


def _kl_div(x: Any, target: Any, reduction: Any, log_target: Any) -> _Checked:
    op = "kl_div"
    x, target = checks.pair(op, x, target)
    logarithms = checks.flag(op, "log_target", log_target)
    if not logarithms:
        checks.within_unit(op, "target", target)
    reduction = checks.reduction_of(op, reduction, *(("batchmean",) if x.ndim else ()))
    if logarithms:
        return _Checked("kl_div_log", x, target, (), reduction)
    return _Checked("kl_div", x, target, (), reduction, _UNIT)


def _kl_div_by_target(ops: Any, kernel: str, x: Array, target: Array) -> Any:
    """log t + 1 - x; of a logarithm e^t (t - x + 1), 0 where e^t is."""
    if kernel == "kl_div_log":
        p = np.exp(target)
        return np.where((p == 0) & ~np.isnan(x), x.dtype.type(0), p * (target - x + 1))
    # Where x is -inf, any probability above 0 costs infinity.
    return np.where(np.isneginf(x), x.dtype.type(np.inf), np.log(target) + 1 - x)


_register("kl_div", _kl_div, _kl_div_by_target)


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Cross-entropy of two classes from logits, without overflow (SPEC F).

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
        a tensor if one of ``x`` and ``target`` is. Without tensors a NumPy scalar stands for shape ().

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
    return unboxed(planned["binary_cross_entropy_with_logits"](x, target, weight, reduction, pos_weight))


def _binary_loss(x: Any, target: Any, weight: Any, reduction: Any, pos_weight: Any) -> _Checked:
    op = "binary_cross_entropy_with_logits"
    x, target, *weights = _binary(op, x, target, weight, pos_weight)
    return _Checked("bce_with_logits", x, target, tuple(weights), checks.reduction_of(op, reduction), _UNIT)


def _binary_by_target(
    ops: Any, kernel: str, x: Array, target: Array, weight: Array | None, pos_weight: Array | None
) -> Any:
    """w (p softplus(-x) - softplus(x)), which is -w x where p is 1."""
    zero = x.dtype.type(0)
    slope = -x if pos_weight is None else weighted(pos_weight, np.logaddexp(zero, -x)) - np.logaddexp(zero, x)
    return slope if weight is None else weighted(weight, slope)


_register("binary_cross_entropy_with_logits", _binary_loss, _binary_by_target)


def _binary(op: str, x: Any, target: Any, weight: Any, pos_weight: Any) -> tuple[Array, Array, Any, Any]:
    x, target = checks.pair(op, x, target)
    checks.within_unit(op, "target", target)
    w = checks.broadcast(op, "weight", weight, x)
    return x, target, w, checks.broadcast(op, "pos_weight", pos_weight, x)


def binary_cross_entropy_with_logits_backward(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None, dloss: Any = None
) -> Array:
    """Gradient of `binary_cross_entropy_with_logits` with respect to the logits (SPEC F).

    Parameters
    ----------
    x, target, weight, reduction, pos_weight
        What `binary_cross_entropy_with_logits` got.
    dloss : array_like, optional
        The gradient of the loss, of its shape; ones by default.

    Returns
    -------
    ndarray
        ``sigmoid(x) - target``, weighted and scaled as the loss was.

    Raises
    ------
    TypeError, ValueError
        As `binary_cross_entropy_with_logits`, and if ``dloss`` has not the shape of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.binary_cross_entropy_with_logits_backward(np.array([0.0, 1e4]), np.array([1.0, 0.0]), reduction="sum")
    array([-0.5,  1. ])
    """
    return planned["binary_cross_entropy_with_logits_backward"](  # type: ignore[no-any-return]
        x, target, weight, reduction, pos_weight, dloss
    )


def _checked_binary(
    x: Any, target: Any, weight: Any, reduction: Any, pos_weight: Any, dloss: Any
) -> tuple[Array, Array, Array | None, Array | None, Array | None, float]:
    op = "binary_cross_entropy_with_logits_backward"
    x, target, *weights = _binary(op, x, target, weight, pos_weight)
    reduction = checks.reduction_of(op, reduction)
    return x, target, *weights, _dloss(op, dloss, reduction, x), _divisor(reduction, x)


def _binary_gradient(
    x: Array, target: Array, weight: Array | None, pos_weight: Array | None, dloss: Array | None, divisor: float
) -> Array:
    given = _one(x) if dloss is None else dloss
    return backend.current().bce_with_logits_backward(  # type: ignore[no-any-return]
        given, x, target, weight, pos_weight, divisor
    )


register_gradient(
    "binary_cross_entropy_with_logits_backward",
    _checked_binary,
    _binary_gradient,
    guard=lambda x, target, *_: (_UNIT[0], target, *_UNIT[1:]),
)
