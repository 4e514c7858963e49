"""Fully connected layers."""

from __future__ import annotations

import math

import numpy as np

from .. import functional as F
from .. import init
from .._types import DTypeLike, Rng, Value
from ..autograd import Tensor
from ..checks import scalars
from .module import Module
from .parameter import Parameter

__all__ = ["Linear"]


class Linear(Module):
    """Fully connected: ``y = x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
        Extents of the last axis of input and output.
    bias : bool
        Whether to add a bias.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes. The weights are drawn by `init.he_uniform`, ``± sqrt(6/in)``;
        biases start at 0. (PyTorch draws both from ``± sqrt(1/in)``.)

    Attributes
    ----------
    weight : Parameter, (out_features, in_features)
    bias : Parameter, (out_features,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Linear(3, 2, rng=0)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: DTypeLike = np.float32, rng: Rng = None
    ) -> None:
        self.in_features = scalars.integer("Linear", "in_features", in_features, 1)
        self.out_features = scalars.integer("Linear", "out_features", out_features, 1)
        self.weight = Parameter(init.he_uniform((out_features, in_features), dtype=dtype, rng=rng))
        self.bias: Parameter | None
        self.register_parameter("bias", Parameter(init.zeros(out_features, dtype=dtype), decay=False) if bias else None)

    def forward(self, x: Value) -> Tensor:
        """x (..., in_features) -> (..., out_features)."""
        return F.linear(x, self.weight, self.bias)

    def multiply_adds(self, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> int:
        return math.prod(output) * self.in_features

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + (", bias=False" if self.bias is None else "")
