"""What losses of pairs of elements have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from .. import backend, checks
from .._types import Array
from ..backend.reference._common import shares
from ._gradients import given
from ._op import Call, Plan, Tape, operation
from ._tangents import total


def _divisor(reduction: str, x: Array) -> float:
    """What each loss is divided by."""
    if reduction == "batchmean":
        return float(x.shape[0])
    return float(x.size) if reduction == "mean" else 1.0


def _sum_divisor(reduction: str, x: Array) -> float | None:
    """What the sum of the losses is divided by; None where there is no sum."""
    return None if reduction == "none" else _divisor(reduction, x)


class Checked(NamedTuple):
    """The arguments of a loss, clean."""

    kernel: str
    x: Array
    target: Array
    parameters: tuple[Any, ...]
    reduction: str


# A loss's check: (the name of the public function, its arguments)
_Check = Callable[..., Checked]


# What the targets of a kernel must be besides: a predicate of the bindings and its arguments.
_UNIT = ("values_within", 0.0, 1.0)
_VALUES: dict[str, tuple[Any, ...]] = {"bce_with_logits": _UNIT, "hinge_loss": ("values_are_signs",), "kl_div": _UNIT}


# dl/dtarget of each pair: (backend, kernel, x, target, *parameters)
_ByTarget = Callable[..., Any]


@lru_cache(None)
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


def pair(name: str, check: _Check, by_target: _ByTarget | None = None) -> tuple[Call, Call]:
    """A loss and its gradient."""
    forward = operation(name, partial(_plan, name, check, by_target), ("x",) if by_target is None else ("x", "target"))
    op = name + "_backward"
    return forward, operation(op, partial(_gradient_plan, op, check))
