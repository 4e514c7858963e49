"""Activation layers: the functions of the same names with their arguments kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from .. import checks
from .. import functional as F
from .._types import Value
from ..checks import scalars
from .kinds import WithoutParameters

__all__ = [
    "CELU", "ELU", "GELU", "SELU", "LeakyReLU", "LogSigmoid", "LogSoftmax", "Mish", "ReLU", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Softsign", "Tanh",
]  # fmt: skip


class _Elementwise(WithoutParameters):
    """A function without further arguments, as a layer."""

    _function: ClassVar[Callable[..., Value]]

    def __init_subclass__(cls, function: Callable[..., Any] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if function is not None:
            cls._function = staticmethod(function)

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return self._function(x)


class ReLU(_Elementwise, function=F.relu):
    """``max(x, 0)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """


class LeakyReLU(WithoutParameters):
    """``x`` where positive, ``negative_slope · x`` elsewhere.

    Parameters
    ----------
    negative_slope : float
        The fixed slope below 0; finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LeakyReLU(0.1)(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = scalars.real("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"{self.negative_slope:g}"


class ELU(WithoutParameters):
    """``x`` where positive, ``alpha · (e^x − 1)`` elsewhere.

    Parameters
    ----------
    alpha : float
        Minus the limit at −∞; finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ELU()(np.array([-1.0, 2.0])).round(3)
    array([-0.632,  2.   ])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = scalars.real("ELU", "alpha", alpha)

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"{self.alpha:g}"


class CELU(WithoutParameters):
    """``x`` where positive, ``alpha · (e^(x / alpha) − 1)`` elsewhere.

    Parameters
    ----------
    alpha : float
        Minus the limit at −∞; above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.CELU(0.5)(np.array([-1.0, 2.0])).round(3)
    array([-0.432,  2.   ])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = checks.with_inverse("CELU", "alpha", alpha)

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.celu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"{self.alpha:g}"


class Sigmoid(_Elementwise, function=F.sigmoid):
    """``1 / (1 + e^−x)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Sigmoid()(np.array([0.0]))
    array([0.5])
    """


class Tanh(_Elementwise, function=F.tanh):
    """The hyperbolic tangent.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Tanh()(np.array([0.0]))
    array([0.])
    """


class SELU(_Elementwise, function=F.selu):
    """``scale · (x where positive, alpha · (e^x − 1) elsewhere)``; see `fastnn.functional.selu`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.SELU()(np.array([-1.0, 2.0])).round(3)
    array([-1.111,  2.101])
    """


class SiLU(_Elementwise, function=F.silu):
    """``x · sigmoid(x)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.SiLU()(np.array([-1.0, 2.0])).round(3)
    array([-0.269,  1.762])
    """


class Mish(_Elementwise, function=F.mish):
    """``x · tanh(log(1 + e^x))``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Mish()(np.array([-1.0, 2.0])).round(3)
    array([-0.303,  1.944])
    """


class LogSigmoid(_Elementwise, function=F.logsigmoid):
    """``log(1 / (1 + e^−x))``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LogSigmoid()(np.array([-1.0, 2.0])).round(3)
    array([-1.313, -0.127])
    """


class Softsign(_Elementwise, function=F.softsign):
    """``x / (1 + |x|)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Softsign()(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """


class Softplus(WithoutParameters):
    """``log(1 + e^(beta · x)) / beta``, and ``x`` where ``beta · x > threshold``.

    Parameters
    ----------
    beta : float
        The larger, the closer to ReLU; above 0.
    threshold : float
        Where the identity begins.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Softplus()(np.array([-1.0, 2.0])).round(3)
    array([0.313, 2.127])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = checks.softplus("Softplus", beta, threshold)

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta:g}, threshold={self.threshold:g}"


class GELU(WithoutParameters):
    """``x · Phi(x)``, exact or by the tanh formula; see `fastnn.functional.gelu`.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "none" takes the exact distribution function Phi, "tanh" the formula.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.GELU()(np.array([-1.0, 2.0])).round(3)
    array([-0.159,  1.954])
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        checks.gelu_tanh("GELU", approximate)
        self.approximate = approximate

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class _AlongAxis(WithoutParameters):
    def __init__(self, axis: int = -1) -> None:
        self.axis = scalars.integer(type(self).__name__, "axis", axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Softmax(_AlongAxis):
    """``e^x / Σ e^x`` along an axis.

    Parameters
    ----------
    axis : int
        The axis that sums to 1, by default the last. (PyTorch calls it ``dim``.)

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Softmax()(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.softmax(x, self.axis)


class LogSoftmax(_AlongAxis):
    """``x − log Σ e^x`` along an axis.

    Parameters
    ----------
    axis : int
        The axis summed over, by default the last. (PyTorch calls it ``dim``.)

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LogSoftmax()(np.zeros((1, 2))).round(3)
    array([[-0.693, -0.693]])
    """

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.log_softmax(x, self.axis)
