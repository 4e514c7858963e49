"""Losses."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, Tape, planned, register
from ..backend.reference._common import shares, weighted
from ..checks import CrossEntropy, Softmax
from ._gradients import document_loss, given, register_gradient

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "nll_loss",
    "nll_loss_backward",
]

Array = np.ndarray[Any, Any]


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of logits against class numbers or probabilities.

    ``-(1 - s) * w[t] * logp[t] - s / classes * sum over c of w[c] * logp[c]`` with ``logp = log_softmax(logits)``
    along axis 1 and smoothing s; for probabilities ``-sum over c of w[c] * ((1 - s) * target[c] + s / classes) * logp[c]``.

    Parameters
    ----------
    logits : array_like or Tensor, shape (n, classes, ...)
        Unnormalised scores, float32 or float64.
    target : array_like of int, shape (n, ...), or array_like or Tensor of floats, shape (n, classes, ...)
        The classes; or the probability of each class, of the dtype of ``logits``.
    weight : array_like, shape (classes,), optional
        Weights w of the classes, of the dtype of ``logits``; a constant for differentiation.
    ignore_index : int
        Positions with this target count for nothing.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the sum of ``w[target]`` over the positions that count (their number where
        there are no weights), and is NaN if none does; for probabilities by the number of positions.
    label_smoothing : float
        Share of the target that goes evenly to all classes, in [0, 1].

    Returns
    -------
    ndarray or Tensor
        Of shape () for "mean" and "sum", else (n, ...);
        a tensor if ``logits`` or ``target`` is one. Without tensors means and sums are NumPy scalars.

    Raises
    ------
    TypeError
        For logits other than float32 and float64, targets that are not integers, or a ``weight`` that requires a
        gradient.
    ValueError
        For shapes that don't fit, a target that is neither a class nor ``ignore_index``, probabilities outside
        [0, 1], or an unknown reduction.

    Notes
    -----
    A class of logit -inf is masked: it adds nothing where its share of the target (times its weight) is 0, and makes the
    loss infinite otherwise. Label smoothing gives every class a share, so a masked one needs the weight 0 there.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.cross_entropy(np.array([[0.0, 0.0], [1e4, -1e4]]), np.array([0, 1]), reduction="none").round(2)
    array([6.9e-01, 2.0e+04])
    """
    return planned["cross_entropy"](logits, target, weight, ignore_index, reduction, label_smoothing)


def _cross_entropy(
    logits: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any, label_smoothing: Any
) -> Any:
    c = checks.cross_entropy(
        "cross_entropy", raw(logits), _probabilities(target), weight, ignore_index, reduction, label_smoothing
    )
    ops = backend.current()
    total = _total(c)
    value, lse = _forward(ops, c, None if c.reduction == "none" else total)
    of_target = c.logits, c.weight, c.label_smoothing

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        by_logits = _gradient(ops, c, dy, total, lse) if needs[0] else None
        return by_logits, _by_target(ops, dy, c.geometry, *of_target, total) if needs[1] else None

    def jvp(tangents: Any) -> Array:
        moved = []
        if tangents[0] is not None:  # the gradients of every position on its own, times the tangent
            moved.append(_gradient(ops, c, np.ones(lse.shape, c.logits.dtype), total, lse) * tangents[0])
        if tangents[1] is not None:
            each = _by_target(ops, np.ones((), c.logits.dtype), c.geometry, *of_target, total)
            moved.append(each * tangents[1])
        losses = sum(moved).sum(axis=1)
        return np.asarray(losses if reduction == "none" else losses.sum())

    return record("cross_entropy", _shaped(c, value), (logits, target), vjp, jvp)


def _by_target(
    ops: Any, dloss: Array, g: Softmax, logits: Array, weight: Array | None, label_smoothing: float, total: float
) -> Array:
    """The gradient of the probabilities, ``-(1 - s) * w * log_softmax(logits) * dloss / total``; 0 where w is 0."""
    nll = -ops.log_softmax_forward(g, logits).reshape(g)
    with np.errstate(all="ignore"):
        w = np.ones(1, nll.dtype) if weight is None else weight
        slope = weighted((1 - label_smoothing) * w.reshape(1, -1, 1), nll)
        each = np.broadcast_to(shares(dloss, total).reshape(-1), g.outer * g.inner)
        gradient: Array = slope * each.reshape(g.outer, 1, g.inner)
        return gradient.reshape(logits.shape)


def _probabilities(target: Any) -> Any:
    """The array of a target that is differentiated by."""
    return raw(target) if checks.is_soft(target) else target


def _cross_entropy_plan(*arguments: Any) -> Plan | None:
    c = checks.cross_entropy("cross_entropy", *arguments)
    if not c.soft:
        # Behind these seven come the loss and lse.
        plan = _class_plan(c, "cross_entropy_forward", (c.label_smoothing,), first=True)
        return plan and plan._replace(tape=Tape(_cross_entropy_vjp, (0, 1, 2, 4, 5, 6, 8)))
    clean = (c.geometry, c.logits, c.target, c.weight, c.label_smoothing, _divisor(c))
    tape = Tape(_soft_cross_entropy_vjp, (0, 1, 2, 3, 4, 5, 7))
    plan = Plan("soft_cross_entropy_forward", clean, ("values_within", c.target, 0.0, 1.0), True, tape)
    return plan if _flat(c) else None


def _cross_entropy_vjp(
    ops: Any,
    dy: Array,
    needs: tuple[bool, ...],
    g: Softmax,
    logits: Array,
    target: Array,
    ignore_index: int,
    label_smoothing: float,
    divisor: float | None,
    lse: Array,
) -> tuple[Array, None]:
    total = 1.0 if divisor is None else divisor
    return ops.cross_entropy_backward(g, dy, logits, target, None, ignore_index, label_smoothing, lse, total), None


def _soft_cross_entropy_vjp(
    ops: Any,
    dy: Array,
    needs: tuple[bool, ...],
    g: Softmax,
    logits: Array,
    target: Array,
    weight: Array | None,
    label_smoothing: float,
    divisor: float | None,
    lse: Array,
) -> tuple[Array | None, Array | None]:
    total = 1.0 if divisor is None else divisor
    by_logits = by_target = None
    if needs[0]:
        by_logits = ops.soft_cross_entropy_backward(g, dy, logits, target, weight, label_smoothing, lse, total)
    if needs[1]:
        by_target = _by_target(ops, dy, g, logits, weight, label_smoothing, total)
    return by_logits, by_target


register("cross_entropy", _cross_entropy, _cross_entropy_plan, _cross_entropy_plan, inputs=(0, 1))


def _class_plan(c: CrossEntropy, binding: str, more: tuple[Any, ...], first: bool) -> Plan | None:
    """Of a loss of class numbers; where some are ignored or weighted, what the sum is divided by depends on them."""
    if not _flat(c) or c.weight is not None or 0 <= c.ignore_index < c.geometry.n:
        return None
    divisor = float(c.target.size) if c.reduction == "mean" else _divisor(c)
    arguments = (c.geometry, c.logits, c.target, None, c.ignore_index, *more, divisor)
    return Plan(binding, arguments, ("numbers_below", c.target, c.geometry.n), first)


def _flat(c: CrossEntropy) -> bool:
    """Whether losses in a row are of the shape of the result."""
    return c.reduction != "none" or c.logits.ndim == 2


def _forward(ops: ModuleType, c: CrossEntropy, divisor: float | None) -> tuple[Array, Array]:
    """The losses, flat, or their sum by a divisor; and the logarithms of the sums, flat."""
    if c.soft:
        return ops.soft_cross_entropy_forward(  # type: ignore[no-any-return]
            c.geometry, c.logits, c.target, c.weight, c.label_smoothing, divisor
        )
    return ops.cross_entropy_forward(  # type: ignore[no-any-return]
        c.geometry, c.logits, c.target, c.weight, c.ignore_index, c.label_smoothing, divisor
    )


def _divisor(c: CrossEntropy) -> float | None:
    """What the sum of the losses is divided by; None where there is no sum."""
    return None if c.reduction == "none" else _total(c)


def _total(c: CrossEntropy) -> float:
    """What each loss is divided by."""
    if c.reduction != "mean":
        return 1.0
    if c.soft:
        return float(c.geometry.outer * c.geometry.inner)
    if c.weight is None and c.all_count:
        return float(c.target.size)
    target = c.target if c.all_count else c.target[c.target != c.ignore_index]
    return float(target.size if c.weight is None else c.weight[target].sum(dtype=np.float64))


def _gradient(ops: ModuleType, c: CrossEntropy, dloss: Array, total: float, lse: Array) -> Array:
    if c.soft:
        return ops.soft_cross_entropy_backward(  # type: ignore[no-any-return]
            c.geometry, dloss, c.logits, c.target, c.weight, c.label_smoothing, lse, total
        )
    return ops.cross_entropy_backward(  # type: ignore[no-any-return]
        c.geometry, dloss, c.logits, c.target, c.weight, c.ignore_index, c.label_smoothing, lse, total
    )


def _shaped(c: CrossEntropy, value: Array) -> Array:
    return value.reshape(c.logits.shape[:1] + c.logits.shape[2:]) if c.reduction == "none" else value


@document_loss(
    "logits, target, weight, ignore_index, reduction, label_smoothing",
    "Of the shape of ``logits``: ``softmax(logits) - onehot(target)``, weighted, smoothed and scaled as the loss was. The "
    "gradient of probabilities only the tape gives.",
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
    """Gradient of `cross_entropy` with respect to the logits.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.cross_entropy_backward(np.zeros((1, 2)), np.array([1]))
    array([[ 0.5, -0.5]])
    """
    return planned["cross_entropy_backward"](  # type: ignore[no-any-return]
        logits, target, weight, ignore_index, reduction, label_smoothing, dloss
    )


def _register_class_gradient(
    op: str, name: str, check: Callable[..., CrossEntropy], compute: Callable[..., Array]
) -> None:
    """Of a loss of classes, whose scores the caller calls ``name``: ``compute(dloss, *check(op, ...))``."""

    def checked(*arguments: Any) -> tuple[CrossEntropy, Array | None]:
        *of_loss, dloss = arguments
        c = check(op, *of_loss)
        shape = c.logits.shape[:1] + c.logits.shape[2:] if c.reduction == "none" else ()
        return c, checks.optional(op, "dloss", dloss, c.logits.dtype, shape, name)

    def function(*arguments: Any) -> Array:
        c, dloss = checked(*arguments)
        return compute(dloss, *c)

    def plan(*arguments: Any) -> Plan | None:
        c, dloss = checked(*arguments)
        if c.soft:
            return Plan(compute, (dloss, *c), ("values_within", c.target, 0.0, 1.0))
        if c.weight is not None or 0 <= c.ignore_index < c.geometry.n:
            return None  # as in _class_plan
        return Plan(compute, (dloss, *c._replace(all_count=True)), ("numbers_below", c.target, c.geometry.n))

    register(op, function, plan)


def _gradient_again(dloss: Array | None, *checked: Any) -> Array:
    """Of cross-entropy, without what the forward leaves."""
    c, ops = CrossEntropy(*checked), backend.current()
    _, lse = _forward(ops, c, None)
    return _gradient(ops, c, given(dloss, c.logits), _total(c), lse)


_register_class_gradient("cross_entropy_backward", "logits", checks.cross_entropy, _gradient_again)


def nll_loss(x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
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
    return planned["nll_loss"](x, target, weight, ignore_index, reduction)


def _nll_loss(x: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any) -> Any:
    c = checks.nll_loss("nll_loss", raw(x), target, weight, ignore_index, reduction)
    ops = backend.current()
    total = _total(c)
    divisor = None if c.reduction == "none" else total
    value = ops.nll_loss_forward(c.geometry, c.logits, c.target, c.weight, c.ignore_index, divisor)

    def slope(dloss: Array) -> Array:
        return ops.nll_loss_backward(  # type: ignore[no-any-return]
            c.geometry, dloss, c.logits, c.target, c.weight, c.ignore_index, total
        )

    return record("nll_loss", _shaped(c, value), (x,), *_maps(c.logits, reduction, slope))


def _nll_loss_plan(*arguments: Any) -> Plan | None:
    return _class_plan(checks.nll_loss("nll_loss", *arguments), "nll_loss_forward", (), first=False)


register("nll_loss", _nll_loss, _nll_loss_plan)


@document_loss("x, target, weight, ignore_index, reduction")
def nll_loss_backward(
    x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", dloss: Any = None
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
    return planned["nll_loss_backward"](x, target, weight, ignore_index, reduction, dloss)  # type: ignore[no-any-return]


def _nll_gradient(dloss: Array | None, *checked: Any) -> Array:
    c = CrossEntropy(*checked)
    return backend.current().nll_loss_backward(  # type: ignore[no-any-return]
        c.geometry, given(dloss, c.logits), c.logits, c.target, c.weight, c.ignore_index, _total(c)
    )


_register_class_gradient("nll_loss_backward", "x", checks.nll_loss, _nll_gradient)


def multi_margin_loss(
    x: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
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
    return planned["multi_margin_loss"](x, target, p, margin, weight, reduction)


def _multi_margin_loss(x: Any, target: Any, p: Any, margin: Any, weight: Any, reduction: Any) -> Any:
    op = "multi_margin_loss"
    x_, t, w, m, squared, reduction = checks.multi_margin_loss(op, raw(x), target, p, margin, weight, reduction)
    ops = backend.current()
    divisor = _rows_divisor(reduction, len(x_))
    value = ops.multi_margin_loss_forward(x_, t, w, m, squared, divisor)

    def slope(dloss: Array) -> Array:
        total = 1.0 if divisor is None else divisor
        return ops.multi_margin_loss_backward(dloss, x_, t, w, m, squared, total)  # type: ignore[no-any-return]

    return record(op, value, (x,), *_maps(x_, reduction, slope))


def _rows_divisor(reduction: str, rows: int) -> float | None:
    return None if reduction == "none" else float(rows) if reduction == "mean" else 1.0


def _multi_margin_loss_plan(*arguments: Any) -> Plan:
    x, target, *more, reduction = checks.multi_margin_loss("multi_margin_loss", *arguments)
    guard = ("numbers_below", target, x.shape[1])
    return Plan("multi_margin_loss_forward", (x, target, *more, _rows_divisor(reduction, len(x))), guard)


register("multi_margin_loss", _multi_margin_loss, _multi_margin_loss_plan)


@document_loss("x, target, p, margin, weight, reduction")
def multi_margin_loss_backward(
    x: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
    dloss: Any = None,
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
    return planned["multi_margin_loss_backward"](  # type: ignore[no-any-return]
        x, target, p, margin, weight, reduction, dloss
    )


def _checked_multi_margin(*arguments: Any) -> tuple[Any, ...]:
    op = "multi_margin_loss_backward"
    *of_loss, dloss = arguments
    x, *clean, reduction = checks.multi_margin_loss(op, *of_loss)
    dloss = checks.optional(op, "dloss", dloss, x.dtype, x.shape[:1] if reduction == "none" else ())
    divisor = _rows_divisor(reduction, len(x))
    return dloss, 1.0 if divisor is None else divisor, x, *clean


def _multi_margin_gradient(dloss: Array | None, divisor: float, x: Array, *clean: Any) -> Array:
    ops = backend.current()
    return ops.multi_margin_loss_backward(given(dloss, x), x, *clean, divisor)  # type: ignore[no-any-return]


register_gradient(
    "multi_margin_loss_backward",
    _checked_multi_margin,
    _multi_margin_gradient,
    guard=lambda dloss, divisor, x, target, *_: ("numbers_below", target, x.shape[1]),
)


def _maps(x: Array, reduction: str, slope: Any) -> tuple[Any, Any]:
    """The vjp and the jvp of a loss of rows; ``slope(dloss)`` is the gradient of x."""

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (slope(dy),)

    def jvp(tangents: Any) -> Array:
        moved = slope(np.ones(x.shape[:1] + x.shape[2:], x.dtype)) * tangents[0]
        return np.asarray(moved.sum(axis=1) if reduction == "none" else moved.sum())

    return vjp, jvp
