"""Functions of one array, element by element: what they share beside their formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checks
from .._types import Array
from ..autograd import self_adjoint
from . import _docs
from ._op import Call, Plan, Tape, operation

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
    """The sections that their backwards have in common; a backward gets ``saved``: ``x``, or ``y``, the output."""
    what = "what `{op}` got" if saved == "x" else "the output"
    parameters = f"{parameters} : float\n    What `{{op}}` got.\n" if parameters else ""
    text = _BACKWARD.replace("{what}", what).replace("{parameters}", parameters)
    return _docs.sections(
        text, saved=saved, refused=f"different shapes, or {errors}" if errors else "or different shapes"
    )


def elementwise(
    op: str, saved: str = "x", choose: Callable[..., tuple[Any, ...]] | None = None, given: str = ""
) -> tuple[Call, Call]:
    """The operation of a function of one array, and that of its gradient.

    ``choose(name, x, *parameters)`` checks the parameters, in the name of one of the two, and gives the name of the kernel
    and what the kernel takes for them; without it the kernel is called ``op`` and has none. The gradient is computed from
    ``saved``, x or y. Callers of the public backward give ``given``, the same by default.
    """
    choose = choose or (lambda name, x: (op,))
    vjp = _of_x if saved == "x" else _of_y
    given = given or saved

    def plan(x: Any, *parameters: Any) -> Plan:
        kernel, *clean = choose(op, x, *parameters)
        constants = {"backward": f"{kernel}_backward", "parameters": tuple(clean)}
        arguments = (checks.dense(op, "x", x), *clean)
        return Plan(f"{kernel}_forward", arguments, tape=Tape(vjp, self_adjoint), constants=constants)

    def gradient_plan(dy: Any, saved: Any, *parameters: Any) -> Plan:
        name = f"{op}_backward"
        kernel, *clean = choose(name, saved, *parameters)
        return Plan(f"{kernel}_backward", (*checks.elementwise_backward(name, given, dy, saved), *clean))

    return operation(op, plan, ("x",)), operation(f"{op}_backward", gradient_plan)


def _of_x(
    ops: Any, dy: Array, needs: tuple[bool, ...], x: Array, backward: str, parameters: tuple[Any, ...]
) -> tuple[Array]:
    try:
        return (getattr(ops, backward)(dy, x, *parameters),)
    except ValueError:  # the binding refuses an x whose axes lie in memory in another order than those of dy
        return (getattr(ops, backward)(dy, checks.in_c_order(x), *parameters),)


def _of_y(
    ops: Any, dy: Array, needs: tuple[bool, ...], y: Array, backward: str, parameters: tuple[Any, ...]
) -> tuple[Array]:
    try:
        return (getattr(ops, backward)(dy, y, *parameters),)
    except ValueError:  # as in _of_x
        return (getattr(ops, backward)(dy, checks.in_c_order(y), *parameters),)
