"""Losses."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array, Constant, Reduction, Value
from ..backend.reference._common import shares, weighted
from ..checks import CrossEntropy, Softmax
from ._gradients import document_loss, given
from ._op import Call, Plan, Tape, operation

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "nll_loss",
    "nll_loss_backward",
]


def cross_entropy(
    logits: Value,
    target: Value,
    weight: Constant | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Value:
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
    return _CROSS_ENTROPY(logits, target, weight, ignore_index, reduction, label_smoothing)


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


def _cross_entropy_plan(logits: Any, target: Any, *options: Any) -> Plan:
    c = checks.cross_entropy("cross_entropy", logits, target, *options)
    if c.soft:
        arguments = (c.geometry, c.logits, c.target, c.weight, c.label_smoothing, _divisor(c))
        guard = ("values_within", c.target, 0.0, 1.0)
        tape = Tape(_soft_vjp, _soft_jvp)
        return Plan("soft_cross_entropy_forward", arguments, ("y", "lse"), tape=tape, guard=guard, shape=_shape(c))
    tape = Tape(_cross_entropy_vjp, _cross_entropy_jvp)
    return _class_plan(c, "cross_entropy_forward", (c.label_smoothing,), ("y", "lse"), tape)


def _cross_entropy_vjp(
    ops: Any,
    dy: Array,
    needs: tuple[bool, ...],
    g: Softmax,
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    lse: Array,
    total: float,
) -> tuple[Array, None]:
    return ops.cross_entropy_backward(g, dy, logits, target, weight, ignore_index, label_smoothing, lse, total), None


def _cross_entropy_jvp(
    ops: Any,
    tangents: Any,
    g: Softmax,
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    lse: Array,
    total: float,
    y: Array,
) -> Array:
    ones, needs = np.ones(lse.shape, logits.dtype), (True, False)
    rest = target, weight, ignore_index, label_smoothing, lse, total
    return _over_classes(_cross_entropy_vjp(ops, ones, needs, g, logits, *rest)[0] * tangents[0], y)


def _over_classes(moved: Array, y: Array) -> Array:
    """The tangent of losses y, or of their sum, from those of every score on its own."""
    losses = moved.sum(axis=1)
    return np.asarray(losses if y.shape else losses.sum())


def _soft_vjp(
    ops: Any, dy: Array, needs: tuple[bool, ...], lse: Array, *arguments: Any
) -> tuple[Array | None, Array | None]:
    g, logits, target, weight, label_smoothing, divisor = arguments
    total = 1.0 if divisor is None else divisor
    by_logits = by_target = None
    if needs[0]:
        by_logits = ops.soft_cross_entropy_backward(g, dy, logits, target, weight, label_smoothing, lse, total)
    if needs[1]:
        by_target = _by_target(ops, dy, g, logits, weight, label_smoothing, total)
    return by_logits, by_target


def _soft_jvp(ops: Any, tangents: Any, y: Array, logits: Array, lse: Array, *arguments: Any) -> Array:
    needs = tuple(t is not None for t in tangents)
    slopes = _soft_vjp(ops, np.ones(lse.shape, logits.dtype), needs, lse, *arguments)
    moved = [slope * t for slope, t in zip(slopes, tangents, strict=True) if slope is not None]
    return _over_classes(sum(moved), y)


_CROSS_ENTROPY = operation("cross_entropy", _cross_entropy_plan, ("logits", "target"))


def _class_plan(c: CrossEntropy, function: str, more: tuple[Any, ...], results: tuple[str, ...], tape: Tape) -> Plan:
    """Of a loss of class numbers; where some are ignored or weighted, what the sum is divided by depends on them."""
    total = _total(c)
    divisor = None if c.reduction == "none" else total
    return Plan(
        function,
        (c.geometry, c.logits, c.target, c.weight, c.ignore_index, *more, divisor),
        results,
        tape=tape,
        constants={"total": total},
        guard=("numbers_below", c.target, c.geometry.n),
        shape=_shape(c),
        lasting=c.weight is None and c.all_count and not 0 <= c.ignore_index < c.geometry.n,
    )


def _shape(c: CrossEntropy) -> tuple[int, ...] | None:
    """The shape of losses, which backends give flat; None where it is the same."""
    return c.logits.shape[:1] + c.logits.shape[2:] if c.reduction == "none" and c.logits.ndim != 2 else None


def _forward(ops: ModuleType, c: CrossEntropy, divisor: float | None) -> tuple[Array, Array]:
    """The losses, flat, or their sum by a divisor; and the logarithms of the sums, flat."""
    if c.soft:
        return ops.soft_cross_entropy_forward(c.geometry, c.logits, c.target, c.weight, c.label_smoothing, divisor)
    return ops.cross_entropy_forward(
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
        return ops.soft_cross_entropy_backward(
            c.geometry, dloss, c.logits, c.target, c.weight, c.label_smoothing, lse, total
        )
    return ops.cross_entropy_backward(
        c.geometry, dloss, c.logits, c.target, c.weight, c.ignore_index, c.label_smoothing, lse, total
    )


@document_loss(
    "logits, target, weight, ignore_index, reduction, label_smoothing",
    "Of the shape of ``logits``: ``softmax(logits) - onehot(target)``, weighted, smoothed and scaled as the loss was. The "
    "gradient of probabilities only the tape gives.",
)
def cross_entropy_backward(
    logits: Constant,
    target: Constant,
    weight: Constant | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    dloss: Constant | None = None,
) -> Array:
    """Gradient of `cross_entropy` with respect to the logits.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.cross_entropy_backward(np.zeros((1, 2)), np.array([1]))
    array([[ 0.5, -0.5]])
    """
    return _CROSS_ENTROPY_BACKWARD(logits, target, weight, ignore_index, reduction, label_smoothing, dloss)


def _class_gradient(op: str, name: str, check: Callable[..., CrossEntropy], compute: Callable[..., Array]) -> Call:
    """The gradient of a loss of class numbers, whose scores are called ``name``: ``compute(dloss, *checked)``."""

    def plan(*arguments: Any) -> Plan:
        *of_loss, dloss = arguments
        c = check(op, *of_loss)
        shape = c.logits.shape[:1] + c.logits.shape[2:] if c.reduction == "none" else ()
        dloss = checks.optional(op, "dloss", dloss, c.logits.dtype, shape, name)
        if c.soft:
            return Plan(compute, (dloss, *c), guard=("values_within", c.target, 0.0, 1.0))
        lasting = c.weight is None and c.all_count and not 0 <= c.ignore_index < c.geometry.n
        return Plan(compute, (dloss, *c), guard=("numbers_below", c.target, c.geometry.n), lasting=lasting)

    return operation(op, plan)


def _gradient_again(dloss: Array | None, *checked: Any) -> Array:
    """Of cross-entropy, without what the forward leaves."""
    c, ops = CrossEntropy(*checked), backend.current()
    _, lse = _forward(ops, c, None)
    return _gradient(ops, c, given(dloss, c.logits), _total(c), lse)


_CROSS_ENTROPY_BACKWARD = _class_gradient("cross_entropy_backward", "logits", checks.cross_entropy, _gradient_again)


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
    return _class_plan(c, "nll_loss_forward", (), ("y",), Tape(_nll_vjp, _nll_jvp))


def _nll_vjp(ops: Any, dy: Array, needs: tuple[bool, ...], total: float, *arguments: Any) -> tuple[Array]:
    g, *of_loss, _ = arguments
    return (ops.nll_loss_backward(g, dy, *of_loss, total),)


def _nll_jvp(ops: Any, tangents: Any, y: Array, x: Array, total: float, *arguments: Any) -> Array:
    ones = np.ones(x.shape[:1] + x.shape[2:], x.dtype)
    return _over_classes(_nll_vjp(ops, ones, (True,), total, *arguments)[0] * tangents[0], y)


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


def _nll_gradient(dloss: Array | None, *checked: Any) -> Array:
    c = CrossEntropy(*checked)
    return backend.current().nll_loss_backward(
        c.geometry, given(dloss, c.logits), c.logits, c.target, c.weight, c.ignore_index, _total(c)
    )


_NLL_LOSS_BACKWARD = _class_gradient("nll_loss_backward", "x", checks.nll_loss, _nll_gradient)


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
    x, target, *more, reduction = checks.multi_margin_loss("multi_margin_loss", x, *arguments)
    clean = (x, target, *more, _rows_divisor(reduction, len(x)))
    tape = Tape(_multi_margin_vjp, _multi_margin_jvp)
    return Plan("multi_margin_loss_forward", clean, tape=tape, guard=("numbers_below", target, x.shape[1]))


def _rows_divisor(reduction: str, rows: int) -> float | None:
    return None if reduction == "none" else float(rows) if reduction == "mean" else 1.0


def _multi_margin_vjp(ops: Any, dy: Array, needs: tuple[bool, ...], *arguments: Any) -> tuple[Array]:
    *of_loss, divisor = arguments
    return (ops.multi_margin_loss_backward(dy, *of_loss, 1.0 if divisor is None else divisor),)


def _multi_margin_jvp(ops: Any, tangents: Any, y: Array, x: Array, *arguments: Any) -> Array:
    slope = _multi_margin_vjp(ops, np.ones(len(x), x.dtype), (True,), *arguments)[0]
    return _over_classes(slope * tangents[0], y)


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
    x, target, *clean, reduction = checks.multi_margin_loss(op, *of_loss)
    dloss = checks.optional(op, "dloss", dloss, x.dtype, x.shape[:1] if reduction == "none" else ())
    divisor = _rows_divisor(reduction, len(x))
    checked = (dloss, 1.0 if divisor is None else divisor, x, target, *clean)
    return Plan(_multi_margin_gradient, checked, guard=("numbers_below", target, x.shape[1]))


def _multi_margin_gradient(dloss: Array | None, divisor: float, x: Array, *clean: Any) -> Array:
    ops = backend.current()
    return ops.multi_margin_loss_backward(given(dloss, x), x, *clean, divisor)


_MULTI_MARGIN_LOSS_BACKWARD = operation("multi_margin_loss_backward", _multi_margin_gradient_plan)
