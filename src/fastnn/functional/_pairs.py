"""What losses of pairs of elements have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from .. import checks
from .._types import Array
from ..backend.reference._common import shares
from ._gradients import loss_gradient
from ._op import Call, Plan, Tape, operation
from ._tangents import total

# For the kernels that take only some values as targets: the binding that checks the values, and its further arguments.
_UNIT = ("values_within", 0.0, 1.0)
_VALUES: dict[str, tuple[Any, ...]] = {"bce_with_logits": _UNIT, "hinge_loss": ("values_are_signs",), "kl_div": _UNIT}


class Checked(NamedTuple):
    """The arguments of a loss, after its check."""

    kernel: str
    x: Array
    target: Array
    parameters: tuple[Any, ...]
    reduction: str

    @property
    def divisor(self) -> float | None:
        """What the sum of the losses is divided by; None where there is no sum."""
        return checks.divisor_of(self.reduction, len(self.x) if self.reduction == "batchmean" else self.x.size)

    @property
    def guard(self) -> tuple[Any, ...] | None:
        """The guard of a plan (see `Plan`), where not all values are allowed as targets."""
        look = _VALUES.get(self.kernel)
        return None if look is None else (look[0], self.target, *look[1:])


# The check of a loss takes the name of the public function, and its arguments.
_Check = Callable[..., Checked]


# The derivative of each loss by its target, from (backend, kernel, x, target, *parameters).
_ByTarget = Callable[..., Any]


@lru_cache(None)
def _tape_of(kernel: str, by_target: _ByTarget | None) -> Tape:
    """The derivatives of the loss that ``kernel`` computes; the last argument of its functions is the divisor."""
    backward = kernel + "_backward"

    def vjp(ops: Any, dy: Array, needs: tuple[bool, ...], *arguments: Any) -> tuple[Array | None, ...]:
        dx = getattr(ops, backward)(dy, *arguments) if needs[0] else None
        if by_target is None:
            return (dx,)
        if not needs[1]:
            return dx, None
        *kept, divisor = arguments
        with np.errstate(all="ignore"):
            return dx, np.asarray(shares(dy, divisor) * by_target(ops, kernel, *kept))

    def jvp(ops: Any, tangents: Any, y: Array, *arguments: Any) -> Array:
        x, *_, divisor = arguments
        ones = np.ones(() if divisor is not None else x.shape, x.dtype)
        slopes = vjp(ops, ones, tuple(t is not None for t in tangents), *arguments)
        moved = total(*(None if t is None else slope * t for slope, t in zip(slopes, tangents, strict=True)))
        return np.asarray(moved if divisor is None else moved.sum())

    return Tape(backward if by_target is None else vjp, jvp)


def _plan(op: str, check: _Check, by_target: _ByTarget | None, x: Any, target: Any, *options: Any) -> Plan:
    c = check(op, x, target, *options)
    arguments = (c.x, c.target, *c.parameters, c.divisor)
    return Plan(c.kernel + "_forward", arguments, tape=_tape_of(c.kernel, by_target), guard=c.guard)


def _gradient_plan(op: str, check: _Check, *arguments: Any) -> Plan:
    *of_loss, dloss = arguments
    c = check(op, *of_loss)
    dloss = checks.optional(op, "dloss", dloss, c.x.dtype, c.x.shape if c.divisor is None else ())
    return loss_gradient(c.kernel + "_backward", dloss, (c.x, c.target, *c.parameters, c.divisor), c.guard)


def pair(name: str, check: _Check, by_target: _ByTarget | None = None) -> tuple[Call, Call]:
    """A loss and its gradient."""
    forward = operation(name, partial(_plan, name, check, by_target), ("x",) if by_target is None else ("x", "target"))
    op = name + "_backward"
    return forward, operation(op, partial(_gradient_plan, op, check))
