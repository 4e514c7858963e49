"""Elementwise activations: arrays of any shape."""

from __future__ import annotations

from typing import Any

from .. import checks
from .._types import Array, Constant, Value
from ._elementwise import document, document_gradient, elementwise

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


@document()
def relu(x: Value) -> Value:
    """``max(x, 0)``; NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return _RELU(x)


@document_gradient()
def relu_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `relu`: ``dy`` where ``x > 0`` or NaN, else 0.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.relu_backward(np.array([5.0, 5.0]), np.array([-1.0, 2.0]))
    array([0., 5.])
    """
    return _RELU_BACKWARD(dy, x)


@document(
    parameters="""\
negative_slope : float
    The fixed slope of the negative side.
""",
    errors="If ``negative_slope`` is not finite, or so large or small that the dtype does not hold it.",
)
def leaky_relu(x: Value, negative_slope: float = 0.01) -> Value:
    """``x`` where ``x > 0``, else ``negative_slope * x``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.leaky_relu(np.array([-1.0, 2.0]), negative_slope=0.125)
    array([-0.125,  2.   ])
    """
    return _LEAKY_RELU(x, negative_slope)


@document_gradient(parameters="negative_slope", errors="a slope that is not finite")
def leaky_relu_backward(dy: Constant, x: Constant, negative_slope: float = 0.01) -> Array:
    """Gradient of `leaky_relu`: ``dy`` where ``x > 0``, else ``negative_slope * dy``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.leaky_relu_backward(np.array([8.0, 8.0]), np.array([-1.0, 2.0]), 0.125)
    array([1., 8.])
    """
    return _LEAKY_RELU_BACKWARD(dy, x, negative_slope)


def _with_slope(name: str, x: Any, negative_slope: Any) -> tuple[str, float]:
    return "leaky_relu", checks.coefficient(name, "negative_slope", negative_slope, x)


@document(
    parameters="""\
alpha : float
    Minus the limit at minus infinity.
""",
    errors="If ``alpha`` is not finite, or so large or small that the dtype does not hold it.",
)
def elu(x: Value, alpha: float = 1.0) -> Value:
    """``x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.elu(np.array([-np.inf, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """
    return _ELU(x, alpha)


@document_gradient(parameters="alpha", errors="an ``alpha`` that is not finite")
def elu_backward(dy: Constant, x: Constant, alpha: float = 1.0) -> Array:
    """Gradient of `elu`: ``dy`` where ``x > 0``, else ``dy * alpha * exp(x)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.elu_backward(np.array([3.0, 3.0]), np.array([0.0, 2.0]), alpha=0.5)
    array([1.5, 3. ])
    """
    return _ELU_BACKWARD(dy, x, alpha)


def _with_alpha(name: str, x: Any, alpha: Any) -> tuple[str, float]:
    return "elu", checks.coefficient(name, "alpha", alpha, x)


@document()
def sigmoid(x: Value) -> Value:
    """``1 / (1 + exp(-x))``, without overflow for any ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    return _SIGMOID(x)


@document_gradient("y")
def sigmoid_backward(dy: Constant, y: Constant) -> Array:
    """Gradient of `sigmoid` from its output: ``dy * y * (1 - y)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.sigmoid_backward(np.array([4.0]), np.array([0.5]))
    array([1.])
    """
    return _SIGMOID_BACKWARD(dy, y)


@document()
def tanh(x: Value) -> Value:
    """Hyperbolic tangent.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.tanh(np.array([-1e4, 0.0, 1e4]))
    array([-1.,  0.,  1.])
    """
    return _TANH(x)


@document_gradient("y")
def tanh_backward(dy: Constant, y: Constant) -> Array:
    """Gradient of `tanh` from its output: ``dy * (1 - y**2)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.tanh_backward(np.array([4.0]), np.array([0.5]))
    array([3.])
    """
    return _TANH_BACKWARD(dy, y)


_RELU, _RELU_BACKWARD = elementwise("relu", "y", given="x")
_LEAKY_RELU, _LEAKY_RELU_BACKWARD = elementwise("leaky_relu", choose=_with_slope)
_ELU, _ELU_BACKWARD = elementwise("elu", choose=_with_alpha)
_SIGMOID, _SIGMOID_BACKWARD = elementwise("sigmoid", "y")
_TANH, _TANH_BACKWARD = elementwise("tanh", "y")
