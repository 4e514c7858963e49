"""Activation layers (SPEC C): the functions of the same names with their arguments kept."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..checks import scalars
from .module import Module


class ReLU(Module):
    """``max(x, 0)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def forward(self, x: Any) -> Any:
        """Any shape; it stays."""
        return F.relu(x)


class LeakyReLU(Module):
    """``x`` where positive, ``negative_slope · x`` elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LeakyReLU(0.1)(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = scalars.real("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Any) -> Any:
        """Any shape; it stays."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"{self.negative_slope:g}"


class ELU(Module):
    """``x`` where positive, ``alpha · (e^x − 1)`` elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ELU()(np.array([-1.0, 2.0])).round(3)
    array([-0.632,  2.   ])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = scalars.real("ELU", "alpha", alpha)

    def forward(self, x: Any) -> Any:
        """Any shape; it stays."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"{self.alpha:g}"


class Sigmoid(Module):
    """``1 / (1 + e^−x)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Sigmoid()(np.array([0.0]))
    array([0.5])
    """

    def forward(self, x: Any) -> Any:
        """Any shape; it stays."""
        return F.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Tanh()(np.array([0.0]))
    array([0.])
    """

    def forward(self, x: Any) -> Any:
        """Any shape; it stays."""
        return F.tanh(x)


class _AlongAxis(Module):
    def __init__(self, axis: int = -1) -> None:
        self.axis = scalars.integer(type(self).__name__, "axis", axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Softmax(_AlongAxis):
    """``e^x / Σ e^x`` along an axis.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Softmax()(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """

    def forward(self, x: Any) -> Any:
        """Any shape; it stays."""
        return F.softmax(x, self.axis)


class LogSoftmax(_AlongAxis):
    """``x − log Σ e^x`` along an axis.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LogSoftmax()(np.zeros((1, 2))).round(3)
    array([[-0.693, -0.693]])
    """

    def forward(self, x: Any) -> Any:
        """Any shape; it stays."""
        return F.log_softmax(x, self.axis)
