"""Normalisation within each sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functional as F
from .. import init
from .._types import DTypeLike, Value
from ..autograd import Tensor
from ..checks import scalars
from .kinds import WithoutParameters
from .module import Module
from .parameter import Parameter

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class _Norm(Module):
    weight: Parameter | None

    def _affine(self, name: str, value: float, shape: int | tuple[int, ...], there: bool, dtype: DTypeLike) -> None:
        """γ or β, which weight decay leaves alone unless asked."""
        parameter = Parameter(init.constant(shape, value, dtype=dtype), decay=False) if there else None
        self.register_parameter(name, parameter)

    def multiply_adds(self, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> int:
        """A scale and a shift of each element."""
        return math.prod(output)


class _PerChannel(_Norm):
    bias: Parameter | None

    @property
    def affine(self) -> bool:
        """Whether there are γ and β, or one of them."""
        return self.weight is not None or self.bias is not None


class _OverLastAxes(_Norm):
    eps: Any  # a float, or None for what F.rms_norm takes by default

    def __init__(self, normalized_shape: int | Sequence[int]) -> None:
        shape = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        op = type(self).__name__
        self.normalized_shape = tuple(scalars.integer(op, "normalized_shape", n, 1) for n in shape)

    @property
    def elementwise_affine(self) -> bool:
        """Whether there are a weight and a bias, or one of them."""
        return self.weight is not None or getattr(self, "bias", None) is not None

    def extra_repr(self) -> str:
        eps = "" if self.eps is None else f", eps={self.eps:g}"
        return f"{self.normalized_shape}{eps}" + ("" if self.weight is not None else ", affine=False")


class LayerNorm(_OverLastAxes):
    """Normalisation over the last axes of each sample; the same in training and evaluation.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Extents of the axes normalised over: the last one, or for example (C, H, W).
    eps : float
        Added to the variance.
    elementwise_affine, bias : bool
        Whether there is a ``weight`` of shape ``normalized_shape``, and with it a ``bias``.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LayerNorm(4)(np.ones((2, 3, 4), np.float32)).shape
    (2, 3, 4)
    """

    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(normalized_shape)
        self.eps = scalars.real("LayerNorm", "eps", eps, 0.0)
        self._affine("weight", 1.0, self.normalized_shape, elementwise_affine, dtype)
        self._affine("bias", 0.0, self.normalized_shape, elementwise_affine and bias, dtype)

    def forward(self, x: Value) -> Tensor:
        """The shape stays."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class GroupNorm(_PerChannel):
    """Normalisation over groups of channels and space, for each sample.

    Parameters
    ----------
    num_groups, num_channels : int
        The channels are split into this many groups, which must divide them.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are a ``weight`` and a ``bias`` per channel.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.GroupNorm(2, 6)(np.ones((2, 6, 4, 4), np.float32)).shape
    (2, 6, 4, 4)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.num_groups = scalars.integer("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = scalars.integer("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.eps = scalars.real("GroupNorm", "eps", eps, 0.0)
        self._affine("weight", 1.0, num_channels, affine, dtype)
        self._affine("bias", 0.0, num_channels, affine, dtype)

    def forward(self, x: Value) -> Tensor:
        """The shape stays."""
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps:g}{affine}"


class RMSNorm(_OverLastAxes):
    """Division by the root mean square over the last axes of each sample: `fastnn.functional.rms_norm`.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Extents of the axes normalised over.
    eps : float, optional
        Added to the mean square; by default the machine epsilon of the input's dtype, as in PyTorch.
    elementwise_affine : bool
        Whether there is a ``weight`` of shape ``normalized_shape``.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.RMSNorm(4)(np.full((2, 4), -3.0, np.float32)).data[0]
    array([-1., -1., -1., -1.], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(normalized_shape)
        self.eps = None if eps is None else scalars.real("RMSNorm", "eps", eps, 0.0)
        self._affine("weight", 1.0, self.normalized_shape, elementwise_affine, dtype)

    def forward(self, x: Value) -> Tensor:
        """The shape stays."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class LocalResponseNorm(_Norm, WithoutParameters):
    """Division by a power of the energy in neighbouring channels: `fastnn.functional.local_response_norm`.

    Parameters
    ----------
    size : int
        Channels in a window.
    alpha, beta, k : float
        ``y = x / (k + alpha / size * energy) ** beta``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LocalResponseNorm(5)(np.ones((2, 8, 4, 4), np.float32)).shape
    (2, 8, 4, 4)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        op = "LocalResponseNorm"
        self.size = scalars.integer(op, "size", size, 1)
        self.alpha, self.k = scalars.real(op, "alpha", alpha, 0.0), scalars.real(op, "k", k, 0.0)
        self.beta = scalars.real(op, "beta", beta)

    def forward(self, x: Value) -> Value:
        """The shape stays."""
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"
