"""The sum of two arrays of one shape."""

from __future__ import annotations

from typing import Any

from .. import checks
from .._types import Array, Constant, Value
from ._op import Plan, Tape, operation
from ._tangents import total

__all__ = ["add", "add_backward"]


def add(a: Value, b: Value) -> Value:
    """``a + b`` of arrays of one shape, as where a residual connection ends; ``+`` of tensors also broadcasts.

    Parameters
    ----------
    a, b : array_like or Tensor
        float32 or float64, of one shape and dtype.

    Returns
    -------
    ndarray or Tensor
        Of the same shape and dtype, in the memory order of ``a`` as `relu`; a tensor if ``a`` or ``b`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For different shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.add(np.array([1.0, 2.0]), np.array([3.0, 5.0]))
    array([4., 7.])
    """
    return _ADD(a, b)


def _plan(a: Any, b: Any) -> Plan:
    return Plan("add", (*checks.add("add", a, b), None), tape=Tape(_vjp, _jvp))


def _vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array, Array]:
    return dy, dy


def _jvp(ops: Any, tangents: Any) -> Any:
    return total(*tangents)


_ADD = operation("add", _plan, ("a", "b"))


def add_backward(dy: Constant) -> tuple[Array, Array]:
    """Gradients of `add`: ``dy`` for each of the two.

    Parameters
    ----------
    dy : array_like
        The gradient of the output, float32 or float64.

    Returns
    -------
    da, db : ndarray
        Two copies of ``dy``, so that one of them can be changed in place.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.add_backward(np.array([1.0, 2.0]))
    (array([1., 2.]), array([1., 2.]))
    """
    dy = checks.array("add_backward", "dy", dy)
    return dy.copy(), dy.copy()
