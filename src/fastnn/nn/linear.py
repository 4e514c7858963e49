"""Layers with a weight matrix or kernels: fully connected and convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from .. import init
from ..checks import scalars
from .module import Module, Parameter


class Linear(Module):
    """Fully connected: ``y = x @ weight.T + bias`` (SPEC D1).

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
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = np.float32, rng: Any = None
    ) -> None:
        self.in_features = scalars.integer("Linear", "in_features", in_features, 1)
        self.out_features = scalars.integer("Linear", "out_features", out_features, 1)
        self.weight = Parameter(init.he_uniform((out_features, in_features), dtype=dtype, rng=rng))
        self.bias = Parameter(init.zeros(out_features, dtype=dtype), decay=False) if bias else None

    def forward(self, x: Any) -> Any:
        """x (..., in_features) -> (..., out_features)."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + (", bias=False" if self.bias is None else "")


class _Conv(Module):
    _rank: ClassVar[int]
    _function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: Any = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        rng: Any = None,
    ) -> None:
        op = type(self).__name__
        self.in_channels = scalars.integer(op, "in_channels", in_channels, 1)
        self.out_channels = scalars.integer(op, "out_channels", out_channels, 1)
        self.groups = scalars.integer(op, "groups", groups, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{op}: groups={groups} must divide in_channels={in_channels}, out_channels={out_channels}"
            )
        self.kernel_size = scalars.per_axis(op, "kernel_size", kernel_size, self._rank)
        self.stride = scalars.per_axis(op, "stride", stride, self._rank)
        self.padding = scalars.padding(op, padding, self._rank)
        self.dilation = scalars.per_axis(op, "dilation", dilation, self._rank)
        kernel = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * self._rank
        shape = (self.out_channels, self.in_channels // self.groups, *kernel)
        self.weight = Parameter(init.he_uniform(shape, dtype=dtype, rng=rng))
        self.bias = Parameter(init.zeros(out_channels, dtype=dtype), decay=False) if bias else None

    def forward(self, x: Any) -> Any:
        """x (N, in_channels, *size) -> (N, out_channels, *out)."""
        return self._function(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        for name, default in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1)):
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(parts) + (", bias=False" if self.bias is None else "")


class Conv1d(_Conv):
    """Convolution of sequences (N, C, W); everything as in `Conv2d`.

    Attributes
    ----------
    weight : Parameter, (out_channels, in_channels // groups, kernel_size)
    bias : Parameter, (out_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Conv1d(3, 8, 5, padding="same", rng=0)(np.ones((2, 3, 20), np.float32)).shape
    (2, 8, 20)
    """

    _rank, _function = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Convolution of images (SPEC A1, A2).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or tuple of int
        Extents of the kernel.
    stride, dilation : int or tuple of int
        Steps between windows, and between the elements under a kernel.
    padding : int, tuple, or {"valid", "same", "full"}
        See `fastnn.functional.conv2d`.
    groups : int
        Groups of channels that don't see each other; must divide both numbers of channels.
    bias : bool
        Whether to add a bias.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes. The weights are drawn by `init.he_uniform`; biases start at 0.

    Attributes
    ----------
    weight : Parameter, (out_channels, in_channels // groups, *kernel_size)
    bias : Parameter, (out_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Conv2d(3, 8, 3, stride=2, padding=1, rng=0)(np.ones((2, 3, 16, 16), np.float32)).shape
    (2, 8, 8, 8)
    """

    _rank, _function = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """Convolution of volumes or videos (N, C, D, H, W); everything as in `Conv2d`.

    Attributes
    ----------
    weight : Parameter, (out_channels, in_channels // groups, *kernel_size)
    bias : Parameter, (out_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Conv3d(3, 8, (1, 3, 3), padding=(0, 1, 1), rng=0)(np.ones((2, 3, 4, 8, 8), np.float32)).shape
    (2, 8, 4, 8, 8)
    """

    _rank, _function = 3, staticmethod(F.conv3d)
