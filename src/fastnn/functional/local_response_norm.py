"""Local response normalisation."""

from __future__ import annotations

from typing import Any

from .. import checks
from .._types import Array, Constant, Value
from ._op import Plan, Tape, operation
from ._tangents import of_local_response_norm

__all__ = ["local_response_norm", "local_response_norm_backward"]


def local_response_norm(x: Value, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Value:
    """Divide each element by a power of the energy in the channels around it.

    ``y[c] = x[c] / (k + alpha / size * sum of x[j]**2) ** beta`` over the channels j from ``c - size // 2`` to
    ``c + (size - 1) // 2`` that there are. As in PyTorch, ``alpha`` is divided by ``size``; in the paper it is not.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, c, ...)
        The input, float32 or float64.
    size : int
        Channels in a window.
    alpha, k : float
        Weight of the energy, and what is added to it; not negative.
    beta : float
        The exponent.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For fewer than two axes, a size below 1, or a negative ``alpha`` or ``k``.

    Notes
    -----
    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.local_response_norm(np.array([[[2.0], [4.0], [6.0]]]), 2, alpha=2.0, beta=1.0, k=0.0)
    array([[[0.5       ],
            [0.2       ],
            [0.11538462]]])
    """
    return _FORWARD(x, size, alpha, beta, k)


def _plan(x: Any, *numbers: Any) -> Plan:
    arguments = checks.local_response_norm("local_response_norm", x, *numbers)
    return Plan("local_response_norm_forward", arguments, tape=Tape("local_response_norm_backward", _jvp))


def _jvp(ops: Any, tangents: Any, *arguments: Any) -> Array:
    g, x, *numbers = arguments
    return of_local_response_norm(g, tangents[0], x, *numbers)


_FORWARD = operation("local_response_norm", _plan, ("x",))


def local_response_norm_backward(
    dy: Constant, x: Constant, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Gradient of `local_response_norm`.

    Parameters
    ----------
    dy : array_like
        The gradient of the output, of the shape of ``x``.
    x, size, alpha, beta, k
        What `local_response_norm` got.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `local_response_norm`, and if ``dy`` has not the shape of ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.local_response_norm_backward(np.ones((1, 2, 1)), np.array([[[1.0], [2.0]]]), 2, alpha=2.0, beta=1.0)
    array([[[-0.11111111],
            [-0.05555556]]])
    """
    return _BACKWARD(dy, x, size, alpha, beta, k)


def _gradient_plan(dy: Any, *arguments: Any) -> Plan:
    op = "local_response_norm_backward"
    g, x, *numbers = checks.local_response_norm(op, *arguments)
    return Plan(op, (g, checks.operand(op, "dy", dy, x.dtype, x.shape), x, *numbers))


_BACKWARD = operation("local_response_norm_backward", _gradient_plan)
