"""Activation layers of linear pieces, with learned or random slopes."""

from __future__ import annotations

from typing import Self

import numpy as np

from .. import checks, init
from .. import functional as F
from .._generators import generator
from .._types import DTypeLike, Rng, Value
from ..autograd import Tensor
from ..checks import scalars
from .kinds import WithoutParameters
from .linear import Linear
from .module import Module
from .parameter import Parameter

__all__ = ["Maxout", "PReLU", "RReLU"]


class PReLU(Module):
    """``x`` where positive, ``weight · x`` elsewhere with a learned slope.

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels for a slope each.
    init_slope : float
        What the slopes start at.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    weight : Parameter, (num_parameters,)
        Weight decay leaves it alone, as it would pull towards ReLU (He et al. 2015).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.PReLU(dtype=np.float64)(np.array([-4.0, 2.0]))
    tensor([-1.,  2.], from=prelu)
    """

    def __init__(self, num_parameters: int = 1, init_slope: float = 0.25, *, dtype: DTypeLike = np.float32) -> None:
        self.num_parameters = scalars.integer("PReLU", "num_parameters", num_parameters, 1)
        self.init_slope = scalars.coefficient("PReLU", "init_slope", init_slope, np.empty(0, dtype))
        self.weight = Parameter(init.constant(self.num_parameters, self.init_slope, dtype=dtype), decay=False)

    def forward(self, x: Value) -> Tensor:
        """x (N, num_parameters, ...), or any shape with one slope; it stays."""
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"{self.num_parameters}"


class RReLU(WithoutParameters):
    """``x`` where positive, ``slope · x`` elsewhere: random slopes in training, their mean in evaluation.

    Parameters
    ----------
    lower, upper : float
        The interval of the slopes.
    rng : optional
        Anything `numpy.random.default_rng` takes. Each call draws new slopes from the attribute ``rng``, a Generator.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.RReLU(0.25, 0.75).eval()(np.array([-4.0, 2.0]))
    array([-2.,  2.])
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, *, rng: Rng = None) -> None:
        self.lower, self.upper = checks.interval("RReLU", "lower", lower, "upper", upper)
        self.rng = generator(rng)

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.rrelu(x, self.lower, self.upper, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        return f"{self.lower:g}, {self.upper:g}"


class Maxout(Module):
    """Fully connected, each output the largest of ``pieces`` linear functions (Goodfellow et al. 2013).

    Parameters
    ----------
    in_features, out_features : int
        Extents of the last axis of input and output.
    pieces : int
        How many linear functions each output has.
    bias, dtype, rng
        As in `Linear`.

    Attributes
    ----------
    linear : Linear
        From ``in_features`` to ``out_features · pieces``; the pieces of an output are neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Maxout(3, 2, 4, rng=0)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self._settle(out_features, pieces)
        self.linear: Module = Linear(in_features, self.out_features * self.pieces, bias, dtype=dtype, rng=rng)

    def _settle(self, out_features: int, pieces: int) -> None:
        self.pieces = scalars.integer("Maxout", "pieces", pieces, 1)
        self.out_features = scalars.integer("Maxout", "out_features", out_features, 1)

    @classmethod
    def _of_parts(cls, linear: Module, out_features: int, pieces: int) -> Self:
        made = cls.__new__(cls)
        made._settle(out_features, pieces)
        made.linear = linear
        return made

    def forward(self, x: Value) -> Tensor:
        """x (..., in_features) -> (..., out_features)."""
        y: Tensor = self.linear(x)
        return F.maxout(y, self.pieces, axis=-1)

    def extra_repr(self) -> str:
        return f"{self.out_features}, pieces={self.pieces}"
