"""Softmax and its logarithm."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import checks
from .._types import Array, Constant, Value
from ..autograd import self_adjoint
from ..checks import Softmax
from ._op import Plan, Tape, operation

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


def softmax(x: Value, axis: int = -1) -> Value:
    """``exp(x) / sum of exp(x)`` along an axis, shifted by the maximum so that nothing overflows.

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64; without axes it counts as one row of one value.
    axis : int
        The axis that shall sum to 1.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one. A row with +inf, or with -inf only, is NaN.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If ``x`` has no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.softmax(np.array([[0.0, 0.0], [1e4, -1e4]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _SOFTMAX(x, axis)


def _plan(op: str, tape: Tape, x: Any, axis: Any) -> Plan:
    return Plan(op + "_forward", checks.softmax(op, x, axis), tape=tape)


def _softmax_vjp(ops: Any, dy: Array, needs: tuple[bool, ...], g: Softmax, y: Array) -> tuple[Array]:
    return (ops.softmax_backward(g, dy, y),)


_SOFTMAX = operation("softmax", partial(_plan, "softmax", Tape(_softmax_vjp, self_adjoint)), ("x",))


def softmax_backward(dy: Constant, y: Constant, axis: int = -1) -> Array:
    """Gradient of `softmax` from its output, with the full Jacobian: ``y * (dy - sum of dy * y)``.

    Parameters
    ----------
    dy, y : array_like
        The gradient of the output, and the output; of one shape and dtype.
    axis : int
        What `softmax` got.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        For another dtype, different shapes, or an axis that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.softmax_backward(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    array([ 0.25, -0.25])
    """
    return _SOFTMAX_BACKWARD(dy, y, axis)


def _gradient_plan(op: str, dy: Any, y: Any, axis: Any) -> Plan:
    g, y = checks.softmax(op, y, axis, "y")
    return Plan(op, (g, checks.operand(op, "dy", dy, y.dtype, y.shape, "y"), y))


_SOFTMAX_BACKWARD, _LOG_SOFTMAX_BACKWARD = (
    operation(name, partial(_gradient_plan, name)) for name in ("softmax_backward", "log_softmax_backward")
)


def log_softmax(x: Value, axis: int = -1) -> Value:
    """``x - log(sum of exp(x))`` along an axis, shifted by the maximum so that nothing overflows.

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64; without axes it counts as one row of one value.
    axis : int
        The axis whose exponentials shall sum to 1.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one. A row with +inf, or with -inf only, is NaN.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If ``x`` has no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.log_softmax(np.array([1e4, -1e4]))
    array([     0., -20000.])
    """
    return _LOG_SOFTMAX(x, axis)


def _log_softmax_vjp(ops: Any, dy: Array, needs: tuple[bool, ...], g: Softmax, y: Array) -> tuple[Array]:
    return (ops.log_softmax_backward(g, dy, y),)


def _log_softmax_jvp(ops: Any, tangents: Any, g: Softmax, y: Array) -> Array:
    t = tangents[0].reshape(g)
    return np.asarray(t - (np.exp(y.reshape(g)) * t).sum(axis=1, keepdims=True)).reshape(y.shape)


_LOG_SOFTMAX = operation("log_softmax", partial(_plan, "log_softmax", Tape(_log_softmax_vjp, _log_softmax_jvp)), ("x",))


def log_softmax_backward(dy: Constant, y: Constant, axis: int = -1) -> Array:
    """Gradient of `log_softmax` from its output: ``dy - exp(y) * sum of dy``.

    Parameters
    ----------
    dy, y : array_like
        The gradient of the output, and the output; of one shape and dtype.
    axis : int
        What `log_softmax` got.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        For another dtype, different shapes, or an axis that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.log_softmax_backward(np.array([1.0, 0.0]), np.log([0.25, 0.75]))
    array([ 0.75, -0.75])
    """
    return _LOG_SOFTMAX_BACKWARD(dy, y, axis)
