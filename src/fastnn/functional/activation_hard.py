"""Elementwise activations with thresholds and without exponentials: arrays of any shape."""

from __future__ import annotations

from typing import Any

from .. import checks
from .._types import Array, Constant, Value
from ._elementwise import document, document_gradient, elementwise

__all__ = [
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "relu6",
    "relu6_backward",
    "thresholded_relu",
    "thresholded_relu_backward",
]


@document()
def relu6(x: Value) -> Value:
    """``min(max(x, 0), 6)``; NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.relu6(np.array([-1.0, 2.0, 8.0]))
    array([0., 2., 6.])
    """
    return _RELU6(x)


@document_gradient()
def relu6_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `relu6`: ``dy`` where ``0 < x < 6``, else 0; NaN where ``x`` is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.relu6_backward(np.array([5.0, 5.0]), np.array([2.0, 8.0]))
    array([5., 0.])
    """
    return _RELU6_BACKWARD(dy, x)


@document(
    parameters="""\
alpha : float
    The threshold.
""",
    errors="If ``alpha`` is not finite, or so large or small that the dtype does not hold it.",
)
def thresholded_relu(x: Value, alpha: float = 1.0) -> Value:
    """``x`` where ``x > alpha``, else 0; NaN stays NaN.

    PyTorch calls it ``threshold(x, alpha, 0)``. Source: Konda et al. 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.thresholded_relu(np.array([-1.0, 1.0, 2.0]))
    array([0., 0., 2.])
    """
    return _THRESHOLDED_RELU(x, alpha)


@document_gradient(parameters="alpha", errors="an ``alpha`` that is not finite")
def thresholded_relu_backward(dy: Constant, x: Constant, alpha: float = 1.0) -> Array:
    """Gradient of `thresholded_relu`: ``dy`` where ``x > alpha``, else 0; NaN where ``x`` is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.thresholded_relu_backward(np.array([5.0, 5.0]), np.array([1.0, 2.0]))
    array([0., 5.])
    """
    return _THRESHOLDED_RELU_BACKWARD(dy, x, alpha)


def _with_threshold(name: str, x: Any, alpha: Any) -> tuple[str, float]:
    return "thresholded_relu", checks.coefficient(name, "alpha", alpha, x)


@document()
def hardsigmoid(x: Value) -> Value:
    """``min(max(x + 3, 0), 6) / 6``, a sigmoid of three straight lines.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.hardsigmoid(np.array([-4.0, 0.0, 1.5, 4.0]))
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    return _HARDSIGMOID(x)


@document_gradient()
def hardsigmoid_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `hardsigmoid`: ``dy / 6`` where ``-3 < x < 3``, else 0; NaN where ``x`` is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.hardsigmoid_backward(np.array([6.0, 6.0]), np.array([0.0, 4.0]))
    array([1., 0.])
    """
    return _HARDSIGMOID_BACKWARD(dy, x)


@document()
def hardswish(x: Value) -> Value:
    """``x * hardsigmoid(x)``: 0 where ``x <= -3``, ``x`` where ``x >= 3``, else ``x * (x + 3) / 6``.

    Source: Howard et al. 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.hardswish(np.array([-4.0, -1.5, 0.0, 4.0]))
    array([ 0.   , -0.375,  0.   ,  4.   ])
    """
    return _HARDSWISH(x)


@document_gradient()
def hardswish_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `hardswish`: 0 where ``x <= -3``, ``dy`` where ``x >= 3``, else ``dy * (2 * x + 3) / 6``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.hardswish_backward(np.array([6.0, 6.0, 6.0]), np.array([-3.0, 0.0, 3.0]))
    array([0., 3., 6.])
    """
    return _HARDSWISH_BACKWARD(dy, x)


_RELU6, _RELU6_BACKWARD = elementwise("relu6")
_THRESHOLDED_RELU, _THRESHOLDED_RELU_BACKWARD = elementwise("thresholded_relu", choose=_with_threshold)
_HARDSIGMOID, _HARDSIGMOID_BACKWARD = elementwise("hardsigmoid")
_HARDSWISH, _HARDSWISH_BACKWARD = elementwise("hardswish")
