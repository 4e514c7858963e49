"""What elementwise functions of one array do beside their formula: check, compute, put themselves on the tape.

The public functions that call these are what people read: each has its own documentation and arguments. The backend's
functions are called ``op + "_forward"`` and ``op + "_backward"``, unless ``kernel`` gives another name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import Tensor, raw, record, self_adjoint
from ..backend import guarded

Array = np.ndarray[Any, Any]
_ndarray = np.ndarray


def of_input(op: str, x: Any, *parameters: Any, kernel: str = "") -> Any:
    """y = f(x), whose gradient is computed from x; ``kernel`` is the backend's name where it is not ``op``."""
    if type(x) is _ndarray:
        try:
            return guarded[kernel or op](x, *parameters)
        except (KeyError, TypeError, ValueError):
            pass  # there is none, or the array is not plain: converted or refused below
    forward, backward = (kernel or op) + "_forward", (kernel or op) + "_backward"
    ops = backend.current()
    if not isinstance(x, Tensor):
        return getattr(ops, forward)(checks.array(op, "x", x), *parameters)
    saved = checks.array(op, "x", x.data)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (getattr(ops, backward)(dy, saved, *parameters),)

    return record(op, getattr(ops, forward)(saved, *parameters), (x,), vjp, self_adjoint)


def of_output(op: str, x: Any, *parameters: Any) -> Any:
    """y = f(x), whose gradient is computed from y."""
    if not isinstance(x, Tensor):
        return of_input(op, x, *parameters)
    forward, backward = op + "_forward", op + "_backward"
    ops = backend.current()
    y = getattr(ops, forward)(checks.array(op, "x", x.data), *parameters)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (getattr(ops, backward)(dy, y, *parameters),)

    return record(op, y, (x,), vjp, self_adjoint)


def gradient(op: str, name: str, dy: Any, saved: Any, *parameters: Any, kernel: str = "") -> Array:
    """dx from dy and the input or output that ``name`` says; ``op`` ends in ``_backward`` and ``kernel`` too."""
    dy, saved = checks.elementwise_backward(op, name, raw(dy), raw(saved))
    return getattr(backend.current(), kernel or op)(dy, saved, *parameters)  # type: ignore[no-any-return]
