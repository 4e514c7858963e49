"""The checks of softmax, cross-entropy and dropout."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

from . import scalars
from .arrays import Array, Shape, array, class_targets, limited, optional, shown


class Softmax(NamedTuple):
    """x as (outer, n, inner); the softmax goes over the middle axis."""

    outer: int
    n: int
    inner: int


class CrossEntropy(NamedTuple):
    """The arguments of ``cross_entropy``, clean; ``target`` is flat, and ``all_count`` if surely none is ignored."""

    geometry: Softmax
    logits: Array
    target: Array
    all_count: bool
    weight: Array | None
    ignore_index: int
    reduction: str
    label_smoothing: float


@lru_cache(maxsize=1024)
def _softmax_geometry(op: str, x: Shape, axis: int) -> Softmax:
    if not -len(x) <= axis < len(x):
        raise ValueError(f"{op}: axis {axis} is not an axis of x of shape {x}")
    limited(op, "x", *x)
    axis %= len(x)
    return Softmax(math.prod(x[:axis]), x[axis], math.prod(x[axis + 1 :]))


def softmax(op: str, x: Any, axis: Any, name: str = "x") -> tuple[Softmax, Array]:
    """Of ``softmax`` and ``log_softmax``, and of y in their gradients."""
    x = array(op, name, x)
    return _softmax_geometry(op, x.shape, axis if type(axis) is int else scalars.integer(op, "axis", axis)), x


def cross_entropy(
    op: str, logits: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any, label_smoothing: Any
) -> CrossEntropy:
    """Of ``cross_entropy``: logits (n, classes, ...), target (n, ...)."""
    logits = array(op, "logits", logits)
    shape = logits.shape
    if len(shape) < 2 or shape[1] == 0:
        raise ValueError(f"{op}: logits must have shape (n, classes, ...) with at least one class, got {shape}")
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{op}: reduction must be 'mean', 'sum' or 'none', got {shown(reduction)}")
    ignore_index = scalars.integer(op, "ignore_index", ignore_index, -(2**63))
    if ignore_index >= 2**63:
        raise ValueError(f"{op}: ignore_index must fit in 64 bits, logits of shape {shape}")
    return CrossEntropy(
        _softmax_geometry(op, shape, 1),
        logits,
        *class_targets(op, target, shape[:1] + shape[2:], shape[1], ignore_index),
        optional(op, "weight", weight, logits.dtype, shape[1:2]),
        ignore_index,
        reduction,
        scalars.real(op, "label_smoothing", label_smoothing, 0.0, 1.0),
    )
