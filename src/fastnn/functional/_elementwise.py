"""What elementwise functions of one array do beside their formula: check, compute, put themselves on the tape.

The public functions that call these are what people read: each has its own documentation and arguments. The backend's
functions are called ``op + "_forward"`` and ``op + "_backward"``, unless ``kernel`` gives another name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array
from ..autograd import Tensor, record, self_adjoint
from ..backend import guarded
from . import _docs
from ._op import Plan, operation

_ndarray = np.ndarray

_FORWARD = """
Parameters
----------
x : array_like or Tensor
    float32 or float64, any shape.
{parameters}
Returns
-------
ndarray or Tensor
    Of the shape and dtype of ``x``, and in its memory order where its axes are C-contiguous in some order, else
    C-contiguous; a tensor if ``x`` is one.

Raises
------
TypeError
    For a dtype other than float32 and float64.
{errors}"""

_BACKWARD = """
Parameters
----------
dy, {saved} : array_like
    The gradient of the output, and {what}; of one shape and dtype.
{parameters}
Returns
-------
ndarray
    The gradient of ``x``, in the memory order of ``dy`` as the output of the forward is in that of ``x``.

Raises
------
TypeError, ValueError
    For another dtype, {refused}.
"""


def document(parameters: str = "", errors: str = "") -> Callable[[_docs.Documented], _docs.Documented]:
    """The sections of a docstring that these functions have in common, with entries for further parameters."""
    errors = f"ValueError\n    {errors}" if errors else ""
    return _docs.sections(_FORWARD, parameters=parameters, errors=errors)


def document_gradient(
    saved: str = "x", parameters: str = "", errors: str = ""
) -> Callable[[_docs.Documented], _docs.Documented]:
    """The same for their backwards, which get ``saved``: ``x``, or ``y``, the output."""
    what = "what `{op}` got" if saved == "x" else "the output"
    parameters = f"{parameters} : float\n    What `{{op}}` got.\n" if parameters else ""
    text = _BACKWARD.replace("{what}", what).replace("{parameters}", parameters)
    return _docs.sections(
        text, saved=saved, refused=f"different shapes, or {errors}" if errors else "or different shapes"
    )


def unary(op: str, x: Any, *parameters: Any, saved: str = "x", kernel: str = "", check: Any = checks.dense) -> Any:
    """y = f(x), whose gradient is computed from x, or from y if ``saved`` says so; ``check`` gives a plain array."""
    if type(x) is _ndarray:
        try:
            return guarded[kernel or op](x, *parameters)
        except (KeyError, TypeError, ValueError):
            pass  # there is none, or the array is not plain: converted or refused below
    return _recorded(op, kernel or op, saved, check, x, parameters)


def _recorded(op: str, kernel: str, saved: str, check: Any, x: Any, parameters: tuple[Any, ...]) -> Any:
    ops = backend.current()
    kept = check(op, "x", x.data if isinstance(x, Tensor) else x)
    y = getattr(ops, kernel + "_forward")(kept, *parameters)
    if saved == "y":
        kept = y

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        backward = getattr(ops, kernel + "_backward")
        try:
            return (backward(dy, kept, *parameters),)
        except ValueError:  # refused: the order of its axes is not that of dy
            return (backward(dy, checks.in_c_order(kept), *parameters),)

    return record(op, y, (x,), vjp, self_adjoint)


def gradient(op: str, name: str, dy: Any, saved: Any, *parameters: Any, kernel: str = "") -> Array:
    """dx from dy and the input or output that ``name`` says; ``op`` ends in ``_backward`` and ``kernel`` too."""
    return _GRADIENT(op, name, kernel or op, dy, saved, *parameters)


def _gradient_plan(op: str, name: str, kernel: str, dy: Any, saved: Any, *parameters: Any) -> Plan:
    return Plan(kernel, (*checks.elementwise_backward(op, name, dy, saved), *parameters))


_GRADIENT = operation("gradient", _gradient_plan)
