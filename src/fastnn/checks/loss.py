"""The checks of softmax and losses."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import scalars
from .arrays import FLOAT32, FLOAT64, Array, Shape, array, class_targets, in_c_order, limited, operand, optional, shown

_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in (FLOAT32, FLOAT64)}


class Softmax(NamedTuple):
    """x as (outer, n, inner); the softmax goes over the middle axis."""

    outer: int
    n: int
    inner: int


class CrossEntropy(NamedTuple):
    """The arguments of ``cross_entropy``, clean; ``target`` is flat, and ``all_count`` if surely none is ignored.

    Where the target is probabilities (``soft``) it has the shape of the logits. The sum of the losses is divided by
    ``divisor``, which is None where there is no sum.
    """

    geometry: Softmax
    logits: Array
    target: Array
    all_count: bool
    weight: Array | None
    ignore_index: int
    divisor: float | None
    label_smoothing: float
    soft: bool = False

    @property
    def shape(self) -> Shape:
        """The shape of the loss: () of a sum, else that of the positions."""
        return self.logits.shape[:1] + self.logits.shape[2:] if self.divisor is None else ()

    @property
    def by_values(self) -> bool:
        """Whether the divisor depends on which classes are the targets."""
        return not self.soft and (self.weight is not None or not self.all_count)


@lru_cache(maxsize=1024)
def _softmax_geometry(op: str, x: Shape, axis: int) -> Softmax:
    if not x and axis in (-1, 0):
        return Softmax(1, 1, 1)
    if not -len(x) <= axis < len(x):
        raise ValueError(f"{op}: axis {axis} is not an axis of x of shape {x}")
    limited(op, "x", *x)
    axis %= len(x)
    return Softmax(math.prod(x[:axis]), x[axis], math.prod(x[axis + 1 :]))


def softmax(op: str, x: Any, axis: Any, name: str = "x") -> tuple[Softmax, Array]:
    """Of ``softmax`` and ``log_softmax``, and of y in their gradients."""
    x = array(op, name, x)
    return _softmax_geometry(op, x.shape, axis if type(axis) is int else scalars.integer(op, "axis", axis)), x


def reduction_of(op: str, reduction: Any, *more: str) -> Any:
    """One of "mean", "sum", "none" and what the loss has besides."""
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none", *more):
        names = ", ".join(repr(name) for name in ("mean", "sum", *more))
        raise ValueError(f"{op}: reduction must be {names} or 'none', got {shown(reduction)}")
    return reduction


def divisor_of(reduction: str, terms: float) -> float | None:
    """What the sum of so many losses, counted or weighed, is divided by; None where there is no sum."""
    if reduction == "none":
        return None
    return 1.0 if reduction == "sum" else float(terms)


def _counting(reduction: str, target: Array, all_count: bool, weight: Array | None, ignore_index: int) -> float | None:
    """The divisor of losses of class numbers: the sum of the weights of those that count."""
    if reduction != "mean" or (all_count and weight is None):
        return divisor_of(reduction, target.size)
    counted = target if all_count else target[target != ignore_index]
    return divisor_of(reduction, counted.size if weight is None else weight[counted].sum(dtype=np.float64))


def _scores(op: str, name: str, value: Any) -> Array:
    x = array(op, name, value)
    if x.ndim < 2 or x.shape[1] == 0:
        raise ValueError(f"{op}: {name} must have shape (n, classes, ...) with at least one class, got {x.shape}")
    return x


def within_unit(op: str, name: str, a: Array) -> Array:
    """Probabilities, refused if one is outside [0, 1]."""
    if a.size and not (a.min() >= 0 and a.max() <= 1):
        raise ValueError(f"{op}: {name} must be probabilities in [0, 1], got {a.min()} to {a.max()} (shape {a.shape})")
    return a


def is_soft(target: Any) -> bool:
    """Whether the target of a cross-entropy holds probabilities, not classes."""
    return getattr(getattr(target, "dtype", None), "kind", "") == "f"


def cross_entropy(
    op: str, logits: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any, label_smoothing: Any
) -> CrossEntropy:
    """Of ``cross_entropy``: logits (n, classes, ...), target (n, ...) of classes, or of the logits' shape."""
    logits = _scores(op, "logits", logits)
    shape = logits.shape
    reduction = reduction_of(op, reduction)
    ignore_index = scalars.integer(op, "ignore_index", ignore_index)
    soft = is_soft(target)
    all_count = True
    if soft:
        _refuse_float_classes(op, target, shape)
        target = within_unit(op, "target", operand(op, "target", target, logits.dtype, shape, "logits"))
    else:
        target, all_count = class_targets(op, target, shape[:1] + shape[2:], shape[1], ignore_index, logits.dtype)
    weight = optional(op, "weight", weight, logits.dtype, shape[1:2], "logits")
    smoothing = scalars.real(op, "label_smoothing", label_smoothing, 0.0, 1.0)
    g = _softmax_geometry(op, shape, 1)
    if soft:
        divisor = divisor_of(reduction, g.outer * g.inner)
    else:
        divisor = _counting(reduction, target, all_count, weight, ignore_index)
    return CrossEntropy(g, logits, target, all_count, weight, ignore_index, divisor, smoothing, soft)


def _refuse_float_classes(op: str, target: Any, shape: Shape) -> None:
    """Class numbers as floats, as many files give them, are taken neither for classes nor for probabilities."""
    classes = shape[:1] + shape[2:]
    if target.shape == classes:
        raise TypeError(
            f"{op}: target must hold integers, in shape {classes}, which are classes, or probabilities, in shape {shape}; got "
            f"dtype {target.dtype} and shape {target.shape}; numbers of classes become integers by target.astype(np.int64)"
        )


def nll_loss(op: str, x: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any) -> CrossEntropy:
    """Of ``nll_loss``: x (n, classes, ...), target (n, ...)."""
    x = _scores(op, "x", x)
    shape = x.shape
    index = scalars.integer(op, "ignore_index", ignore_index)
    target, all_count = class_targets(op, target, shape[:1] + shape[2:], shape[1], index)
    weight = optional(op, "weight", weight, x.dtype, shape[1:2])
    divisor = _counting(reduction_of(op, reduction), target, all_count, weight, index)
    return CrossEntropy(_softmax_geometry(op, shape, 1), x, target, all_count, weight, index, divisor, 0.0)


def multi_margin_loss(
    op: str, x: Any, target: Any, p: Any, margin: Any, weight: Any, reduction: Any
) -> tuple[Array, Array, Array | None, float, bool, float | None]:
    """Of ``multi_margin_loss``: x (n, classes), target (n,), p 1 or 2. Gives whether p is 2, and the divisor last."""
    x = _scores(op, "x", x)
    if x.ndim != 2:
        raise ValueError(f"{op}: x must have shape (n, classes), got {x.shape}")
    p = margin_power(op, p)
    target, _ = class_targets(op, target, x.shape[:1], x.shape[1], None)
    weight = optional(op, "weight", weight, x.dtype, x.shape[1:])
    return x, target, weight, margin_of(op, margin, x), p == 2, divisor_of(reduction_of(op, reduction), len(x))


def margin_power(op: str, p: Any) -> int:
    """The power of a hinge, 1 or 2."""
    power = scalars.integer(op, "p", p)
    if power not in (1, 2):
        raise ValueError(f"{op}: p must be 1 or 2, got {power}")
    return power


def margin_of(op: str, margin: Any, x: Array) -> float:
    """A margin that the type of the scores holds."""
    largest = _LARGEST[x.dtype]
    return scalars.real(op, "margin", margin, -largest, largest)


def pair(op: str, x: Any, target: Any) -> tuple[Array, Array]:
    """x and a target of its shape and dtype."""
    x = array(op, "x", x)
    return x, operand(op, "target", target, x.dtype, x.shape)


def signs(op: str, name: str, a: Array) -> Array:
    """Signs, refused if one is neither +1 nor -1."""
    if not (np.abs(a) == 1).all():
        raise ValueError(f"{op}: {name} must hold 1 and -1 only, got {a[np.abs(a) != 1][0]} (shape {a.shape})")
    return a


def broadcast(op: str, name: str, value: Any, like: Array) -> Array | None:
    """None, or an array that broadcasts to the shape of another, at full size."""
    if value is None:
        return None
    a = operand(op, name, value, like.dtype)
    if a.shape == like.shape:
        return a
    try:
        return in_c_order(np.broadcast_to(a, like.shape))
    except ValueError:
        raise ValueError(f"{op}: {name} of shape {a.shape} does not broadcast to {like.shape}") from None
