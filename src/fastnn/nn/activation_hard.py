"""Layers of activations with thresholds and without exponentials."""

from __future__ import annotations

from .. import functional as F
from .._types import Value
from ..checks import scalars
from .activation import _Elementwise
from .kinds import WithoutParameters

__all__ = ["Hardsigmoid", "Hardswish", "ReLU6", "ThresholdedReLU"]


class ReLU6(_Elementwise, function=F.relu6):
    """``min(max(x, 0), 6)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReLU6()(np.array([-1.0, 2.0, 8.0]))
    array([0., 2., 6.])
    """


class ThresholdedReLU(WithoutParameters):
    """``x`` where above ``alpha``, 0 elsewhere.

    Parameters
    ----------
    alpha : float
        The threshold; finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ThresholdedReLU()(np.array([-1.0, 0.5, 2.0]))
    array([0., 0., 2.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = scalars.real("ThresholdedReLU", "alpha", alpha)

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.thresholded_relu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"{self.alpha:g}"


class Hardsigmoid(_Elementwise, function=F.hardsigmoid):
    """``min(max(x + 3, 0), 6) / 6``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Hardsigmoid()(np.array([-1.0, 2.0])).round(3)
    array([0.333, 0.833])
    """


class Hardswish(_Elementwise, function=F.hardswish):
    """``x · min(max(x + 3, 0), 6) / 6``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Hardswish()(np.array([-1.0, 2.0])).round(3)
    array([-0.333,  1.667])
    """
