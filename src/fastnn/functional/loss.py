"""Cross-entropy, and what losses of class numbers have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array, Constant, Reduction, Value
from ..backend.reference._common import shares, weighted
from ..checks import CrossEntropy, Softmax
from ._gradients import document_loss, given
from ._op import Call, Plan, Tape, operation

__all__ = ["cross_entropy", "cross_entropy_backward"]


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
    ops: Any,
    dloss: Array,
    g: Softmax,
    logits: Array,
    weight: Array | None,
    label_smoothing: float,
    divisor: float | None,
) -> Array:
    """The gradient of the probabilities, ``-(1 - s) * w * log_softmax(logits) * dloss / divisor``; 0 where w is 0."""
    nll = -ops.log_softmax_forward(g, logits).reshape(g)
    with np.errstate(all="ignore"):
        w = np.ones(1, nll.dtype) if weight is None else weight
        slope = weighted((1 - label_smoothing) * w.reshape(1, -1, 1), nll)
        each = np.broadcast_to(shares(dloss, divisor).reshape(-1), g.outer * g.inner)
        gradient: Array = slope * each.reshape(g.outer, 1, g.inner)
        return gradient.reshape(logits.shape)


def _cross_entropy_plan(logits: Any, target: Any, *options: Any) -> Plan:
    c = checks.cross_entropy("cross_entropy", logits, target, *options)
    kernel, *arguments = _cross_entropy_arguments(c)
    tape = Tape(_soft_vjp, _soft_jvp) if c.soft else Tape(_cross_entropy_vjp, _cross_entropy_jvp)
    return class_plan(c, kernel + "_forward", tuple(arguments), results=("y", "lse"), tape=tape)


def _cross_entropy_arguments(c: CrossEntropy) -> tuple[Any, ...]:
    """The name of the kernel, and what its forward takes."""
    if c.soft:
        return "soft_cross_entropy", c.geometry, c.logits, c.target, c.weight, c.label_smoothing, c.divisor
    return "cross_entropy", c.geometry, c.logits, c.target, c.weight, c.ignore_index, c.label_smoothing, c.divisor


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
    divisor: float | None,
) -> tuple[Array, None]:
    return ops.cross_entropy_backward(g, dy, logits, target, weight, ignore_index, label_smoothing, lse, divisor), None


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
    divisor: float | None,
    y: Array,
) -> Array:
    ones, needs = np.ones(lse.shape, logits.dtype), (True, False)
    rest = target, weight, ignore_index, label_smoothing, lse, divisor
    return over_classes(_cross_entropy_vjp(ops, ones, needs, g, logits, *rest)[0] * tangents[0], y)


def over_classes(moved: Array, y: Array) -> Array:
    """The tangent of the losses y, or of their sum, from the share that each score has in it."""
    losses = moved.sum(axis=1)
    return np.asarray(losses if y.shape else losses.sum())


def _soft_vjp(
    ops: Any, dy: Array, needs: tuple[bool, ...], lse: Array, *arguments: Any
) -> tuple[Array | None, Array | None]:
    g, logits, target, weight, label_smoothing, divisor = arguments
    by_logits = by_target = None
    if needs[0]:
        by_logits = ops.soft_cross_entropy_backward(g, dy, logits, target, weight, label_smoothing, lse, divisor)
    if needs[1]:
        by_target = _by_target(ops, dy, g, logits, weight, label_smoothing, divisor)
    return by_logits, by_target


def _soft_jvp(ops: Any, tangents: Any, y: Array, logits: Array, lse: Array, *arguments: Any) -> Array:
    needs = tuple(t is not None for t in tangents)
    slopes = _soft_vjp(ops, np.ones(lse.shape, logits.dtype), needs, lse, *arguments)
    moved = [slope * t for slope, t in zip(slopes, tangents, strict=True) if slope is not None]
    return over_classes(sum(moved), y)


_CROSS_ENTROPY = operation("cross_entropy", _cross_entropy_plan, ("logits", "target"))


def class_plan(c: CrossEntropy, function: str | Callable[..., Any], arguments: tuple[Any, ...], **columns: Any) -> Plan:
    """The plan of a loss of classes or of its gradient; where the divisor depends on the targets, it holds for one call."""
    guard = ("values_within", c.target, 0.0, 1.0) if c.soft else ("numbers_below", c.target, c.geometry.n)
    return Plan(function, arguments, guard=guard, lasting=not c.by_values, **columns)


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


def class_gradient(
    op: str,
    name: str,
    check: Callable[..., CrossEntropy],
    arguments_of: Callable[[CrossEntropy], tuple[Any, ...]],
    compute: Callable[..., Array],
) -> Call:
    """The gradient of a loss of classes, whose scores are called ``name``: ``compute(dloss, *arguments_of(checked))``."""

    def plan(*arguments: Any) -> Plan:
        *of_loss, dloss = arguments
        c = check(op, *of_loss)
        dloss = checks.optional(op, "dloss", dloss, c.logits.dtype, c.shape, name)
        return class_plan(c, compute, (dloss, *arguments_of(c)))

    return operation(op, plan)


def _gradient_again(dloss: Array | None, kernel: str, g: Softmax, logits: Array, *others: Any) -> Array:
    """The gradient of cross-entropy. The public backward gets no ``lse`` from a forward, so that one computes it again."""
    ops = backend.current()
    *kept, divisor = others
    _, lse = getattr(ops, kernel + "_forward")(g, logits, *kept, None)
    return getattr(ops, kernel + "_backward")(g, given(dloss, logits), logits, *kept, lse, divisor)


_CROSS_ENTROPY_BACKWARD = class_gradient(
    "cross_entropy_backward", "logits", checks.cross_entropy, _cross_entropy_arguments, _gradient_again
)
