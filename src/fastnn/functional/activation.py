"""Elementwise activations (SPEC C): arrays of any shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record, self_adjoint

__all__ = [
    "elu",
    "elu_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "tanh",
    "tanh_backward",
]

Array = np.ndarray[Any, Any]


def relu(x: Any) -> Any:
    """``max(x, 0)``; NaN stays NaN (SPEC C).

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    x_ = checks.array("relu", "x", raw(x))
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.relu_backward(dy, x_),)

    return record("relu", ops.relu_forward(x_), (x,), vjp, self_adjoint)


def relu_backward(dy: Any, x: Any) -> Array:
    """Gradient of `relu`: ``dy`` where ``x > 0``, else 0 (SPEC C).

    Parameters
    ----------
    dy, x : array_like
        The gradient of the output, and what `relu` got; of one shape and dtype.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        For another dtype, or different shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.relu_backward(np.array([5.0, 5.0]), np.array([-1.0, 2.0]))
    array([0., 5.])
    """
    dy, x = checks.elementwise_backward("relu_backward", "x", raw(dy), raw(x))
    return backend.current().relu_backward(dy, x)  # type: ignore[no-any-return]


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """``x`` where ``x > 0``, else ``negative_slope * x`` (SPEC C).

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape.
    negative_slope : float
        The fixed slope of the negative side.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If ``negative_slope`` is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.leaky_relu(np.array([-1.0, 2.0]), negative_slope=0.125)
    array([-0.125,  2.   ])
    """
    x_ = checks.array("leaky_relu", "x", raw(x))
    slope = checks.real("leaky_relu", "negative_slope", negative_slope)
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.leaky_relu_backward(dy, x_, slope),)

    return record("leaky_relu", ops.leaky_relu_forward(x_, slope), (x,), vjp, self_adjoint)


def leaky_relu_backward(dy: Any, x: Any, negative_slope: float = 0.01) -> Array:
    """Gradient of `leaky_relu`: ``dy`` where ``x > 0``, else ``negative_slope * dy`` (SPEC C).

    Parameters
    ----------
    dy, x : array_like
        The gradient of the output, and what `leaky_relu` got; of one shape and dtype.
    negative_slope : float
        What `leaky_relu` got.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        For another dtype, different shapes, or a slope that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.leaky_relu_backward(np.array([8.0, 8.0]), np.array([-1.0, 2.0]), 0.125)
    array([1., 8.])
    """
    dy, x = checks.elementwise_backward("leaky_relu_backward", "x", raw(dy), raw(x))
    slope = checks.real("leaky_relu_backward", "negative_slope", negative_slope)
    return backend.current().leaky_relu_backward(dy, x, slope)  # type: ignore[no-any-return]


def elu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` where ``x > 0``, else ``alpha * (exp(x) - 1)`` (SPEC C).

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape.
    alpha : float
        Minus the limit at minus infinity.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If ``alpha`` is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.elu(np.array([-np.inf, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """
    x_ = checks.array("elu", "x", raw(x))
    a = checks.real("elu", "alpha", alpha)
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.elu_backward(dy, x_, a),)

    return record("elu", ops.elu_forward(x_, a), (x,), vjp, self_adjoint)


def elu_backward(dy: Any, x: Any, alpha: float = 1.0) -> Array:
    """Gradient of `elu`: ``dy`` where ``x > 0``, else ``dy * alpha * exp(x)`` (SPEC C).

    Parameters
    ----------
    dy, x : array_like
        The gradient of the output, and what `elu` got; of one shape and dtype.
    alpha : float
        What `elu` got.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        For another dtype, different shapes, or an ``alpha`` that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.elu_backward(np.array([3.0, 3.0]), np.array([0.0, 2.0]), alpha=0.5)
    array([1.5, 3. ])
    """
    dy, x = checks.elementwise_backward("elu_backward", "x", raw(dy), raw(x))
    return backend.current().elu_backward(dy, x, checks.real("elu_backward", "alpha", alpha))  # type: ignore[no-any-return]


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``, without overflow for any ``x`` (SPEC C).

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    x_ = checks.array("sigmoid", "x", raw(x))
    ops = backend.current()
    y = ops.sigmoid_forward(x_)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.sigmoid_backward(dy, y),)

    return record("sigmoid", y, (x,), vjp, self_adjoint)


def sigmoid_backward(dy: Any, y: Any) -> Array:
    """Gradient of `sigmoid` from its output: ``dy * y * (1 - y)`` (SPEC C).

    Parameters
    ----------
    dy, y : array_like
        The gradient of the output, and the output; of one shape and dtype.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        For another dtype, or different shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.sigmoid_backward(np.array([4.0]), np.array([0.5]))
    array([1.])
    """
    dy, y = checks.elementwise_backward("sigmoid_backward", "y", raw(dy), raw(y))
    return backend.current().sigmoid_backward(dy, y)  # type: ignore[no-any-return]


def tanh(x: Any) -> Any:
    """Hyperbolic tangent (SPEC C).

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.tanh(np.array([-1e4, 0.0, 1e4]))
    array([-1.,  0.,  1.])
    """
    x_ = checks.array("tanh", "x", raw(x))
    ops = backend.current()
    y = ops.tanh_forward(x_)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.tanh_backward(dy, y),)

    return record("tanh", y, (x,), vjp, self_adjoint)


def tanh_backward(dy: Any, y: Any) -> Array:
    """Gradient of `tanh` from its output: ``dy * (1 - y**2)`` (SPEC C).

    Parameters
    ----------
    dy, y : array_like
        The gradient of the output, and the output; of one shape and dtype.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        For another dtype, or different shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.tanh_backward(np.array([4.0]), np.array([0.5]))
    array([3.])
    """
    dy, y = checks.elementwise_backward("tanh_backward", "y", raw(dy), raw(y))
    return backend.current().tanh_backward(dy, y)  # type: ignore[no-any-return]
