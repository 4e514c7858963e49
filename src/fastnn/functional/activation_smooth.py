"""Smooth elementwise activations: arrays of any shape."""

from __future__ import annotations

from typing import Any, Literal

from .. import checks
from .._types import Array, Constant, Value
from ._elementwise import document, document_gradient, elementwise

__all__ = [
    "celu",
    "celu_backward",
    "gelu",
    "gelu_backward",
    "logsigmoid",
    "logsigmoid_backward",
    "mish",
    "mish_backward",
    "selu",
    "selu_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
    "softsign",
    "softsign_backward",
]


@document()
def selu(x: Value) -> Value:
    """``scale * (x if x > 0 else alpha * (exp(x) - 1))``.

    ``scale = 1.0507…`` and ``alpha = 1.6733…`` make mean 0 and variance 1 a fixed point of layers whose weights have
    the variance 1/fan_in (`init.lecun_normal`). Source: Klambauer et al. 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.selu(np.array([-1e4, 0.0, 1.0])).round(4)
    array([-1.7581,  0.    ,  1.0507])
    """
    return _SELU(x)


@document_gradient()
def selu_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `selu`: ``dy * scale * (1 if x > 0 else alpha * exp(x))``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.selu_backward(np.array([1.0, 1.0]), np.array([-1e4, 1.0])).round(4)
    array([0.    , 1.0507])
    """
    return _SELU_BACKWARD(dy, x)


@document(
    parameters="""\
beta : float
    Above 0; the larger, the nearer to ReLU.
threshold : float
    Where ``beta * x`` is larger, the result is ``x`` itself.
""",
    errors="If ``beta`` is not above 0, one of the two is not finite, or the dtype does not hold ``beta`` and ``1 / beta``.",
)
def softplus(x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """``log(1 + exp(beta * x)) / beta``, without overflow for any ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.softplus(np.array([-1e4, 0.0, 2.0])).round(4)
    array([0.    , 0.6931, 2.1269])
    """
    return _SOFTPLUS(x, beta, threshold)


@document_gradient(parameters="beta, threshold", errors="numbers that `softplus` refuses")
def softplus_backward(dy: Constant, x: Constant, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Gradient of `softplus`: ``dy * sigmoid(beta * x)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.softplus_backward(np.array([4.0, 4.0]), np.array([0.0, 1e4]))
    array([2., 4.])
    """
    return _SOFTPLUS_BACKWARD(dy, x, beta, threshold)


def _with_beta(name: str, x: Any, beta: Any, threshold: Any) -> tuple[str, float, float]:
    return "softplus", *checks.softplus(name, beta, threshold, x)


@document(
    parameters="""\
approximate : {"none", "tanh"}
    "tanh" computes ``x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))) / 2`` instead.
""",
    errors="If ``approximate`` is neither of the two.",
)
def gelu(x: Value, approximate: Literal["none", "tanh"] = "none") -> Value:
    """``x * Phi(x)``, Phi the distribution function of the normal distribution.

    Phi is ``(1 + erf(x / sqrt(2))) / 2``, computed to relative accuracy on the far negative side too, where PyTorch's
    sum cancels. Source: Hendrycks and Gimpel 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    >>> F.gelu(np.array([-1.0, 0.0, 1.0]), approximate="tanh").round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    return _GELU(x, approximate)


def gelu_backward(dy: Constant, x: Constant, approximate: Literal["none", "tanh"] = "none") -> Array:
    """Gradient of `gelu`: ``dy * (Phi(x) + x * phi(x))``, phi the density.

    Parameters
    ----------
    dy, x : array_like
        The gradient of the output, and what `gelu` got; of one shape and dtype.
    approximate : {"none", "tanh"}
        What `gelu` got.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        For another dtype, different shapes, or an ``approximate`` that is neither of the two.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.gelu_backward(np.array([4.0, 4.0]), np.array([0.0, 1e4]))
    array([2., 4.])
    """
    return _GELU_BACKWARD(dy, x, approximate)


def _exact_or_not(name: str, x: Any, approximate: Any) -> tuple[str]:
    return ("gelu_tanh" if checks.gelu_tanh(name, approximate) else "gelu",)


@document()
def silu(x: Value) -> Value:
    """``x * sigmoid(x)``, also known as swish.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.silu(np.array([-1e4, 0.0, 1.0])).round(4)
    array([-0.    ,  0.    ,  0.7311])
    """
    return _SILU(x)


@document_gradient()
def silu_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `silu`: ``dy * s * (1 + x * (1 - s))`` with ``s = sigmoid(x)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.silu_backward(np.array([4.0, 4.0]), np.array([0.0, 1e4]))
    array([2., 4.])
    """
    return _SILU_BACKWARD(dy, x)


@document(
    parameters="""\
alpha : float
    Above 0; minus the limit at minus infinity.
""",
    errors="If ``alpha`` is not above 0, not finite, or the dtype does not hold ``alpha`` and ``1 / alpha``.",
)
def celu(x: Value, alpha: float = 1.0) -> Value:
    """``x`` where ``x > 0``, else ``alpha * (exp(x / alpha) - 1)``, whose slope is continuous for every ``alpha``.

    Source: Barron 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.celu(np.array([-np.inf, 0.0, 2.0]), alpha=0.5)
    array([-0.5,  0. ,  2. ])
    """
    return _CELU(x, alpha)


@document_gradient(parameters="alpha", errors="an ``alpha`` that `celu` refuses")
def celu_backward(dy: Constant, x: Constant, alpha: float = 1.0) -> Array:
    """Gradient of `celu`: ``dy`` where ``x > 0``, else ``dy * exp(x / alpha)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.celu_backward(np.array([3.0, 3.0]), np.array([-1.0, 2.0]), alpha=0.5).round(4)
    array([0.406, 3.   ])
    """
    return _CELU_BACKWARD(dy, x, alpha)


def _with_alpha(name: str, x: Any, alpha: Any) -> tuple[str, float]:
    return "celu", checks.with_inverse(name, "alpha", alpha, x)


@document()
def mish(x: Value) -> Value:
    """``x * tanh(log(1 + exp(x)))``, without overflow for any ``x``.

    Source: Misra 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.mish(np.array([-1e4, 0.0, 1.0])).round(4)
    array([-0.    ,  0.    ,  0.8651])
    """
    return _MISH(x)


@document_gradient()
def mish_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `mish`: ``dy * (t + x * (1 - t**2) * sigmoid(x))`` with ``t = tanh(log(1 + exp(x)))``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.mish_backward(np.array([5.0, 5.0]), np.array([0.0, 1e4]))
    array([3., 5.])
    """
    return _MISH_BACKWARD(dy, x)


@document()
def logsigmoid(x: Value) -> Value:
    """``log(sigmoid(x))``, without overflow for any ``x``; ``-exp(-x)`` where ``x`` is far above 0.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.logsigmoid(np.array([-1e4, 0.0, 50.0]))
    array([-1.00000000e+04, -6.93147181e-01, -1.92874985e-22])
    """
    return _LOGSIGMOID(x)


@document_gradient()
def logsigmoid_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `logsigmoid`: ``dy * sigmoid(-x)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.logsigmoid_backward(np.array([4.0, 4.0]), np.array([0.0, -1e4]))
    array([2., 4.])
    """
    return _LOGSIGMOID_BACKWARD(dy, x)


@document()
def softsign(x: Value) -> Value:
    """``x / (1 + |x|)``, and ±1 at infinity.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.softsign(np.array([-np.inf, -1.0, 0.0, 3.0]))
    array([-1.  , -0.5 ,  0.  ,  0.75])
    """
    return _SOFTSIGN(x)


@document_gradient()
def softsign_backward(dy: Constant, x: Constant) -> Array:
    """Gradient of `softsign`: ``dy / (1 + |x|)**2``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.softsign_backward(np.array([4.0, 4.0]), np.array([0.0, -1.0]))
    array([4., 1.])
    """
    return _SOFTSIGN_BACKWARD(dy, x)


_SELU, _SELU_BACKWARD = elementwise("selu")
_SOFTPLUS, _SOFTPLUS_BACKWARD = elementwise("softplus", choose=_with_beta)
_GELU, _GELU_BACKWARD = elementwise("gelu", choose=_exact_or_not)
_SILU, _SILU_BACKWARD = elementwise("silu")
_CELU, _CELU_BACKWARD = elementwise("celu", choose=_with_alpha)
_MISH, _MISH_BACKWARD = elementwise("mish")
_LOGSIGMOID, _LOGSIGMOID_BACKWARD = elementwise("logsigmoid")
_SOFTSIGN, _SOFTSIGN_BACKWARD = elementwise("softsign")
