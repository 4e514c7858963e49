"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import functional as F
from .. import init
from .._types import ConvPadMode, DTypeLike, Ints, Padding, Rng, Value
from ..autograd import Tensor
from ..checks import array, padding_sides, scalars
from ..checks import padding_mode as check_padding_mode
from .kinds import OfRank
from .parameter import Parameter

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


class _Kernels(OfRank):
    """What convolution and transposed convolution have in common."""

    _function: ClassVar[Callable[..., Tensor]]
    _transposed = False

    def _settle(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        dtype: Any,
        rng: Any,
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
        self.dilation = scalars.per_axis(op, "dilation", dilation, self._rank)
        kernel = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * self._rank
        first, second = self.out_channels, self.in_channels
        if self._transposed:
            first, second = second, first
        weight = init.he_uniform(
            (first, second // groups, *kernel), groups=groups, transposed=self._transposed, dtype=dtype, rng=rng
        )
        self.weight = Parameter(weight)
        self.bias: Parameter | None
        self.register_parameter("bias", Parameter(init.zeros(out_channels, dtype=dtype), decay=False) if bias else None)

    def multiply_adds(self, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> int:
        """Each output (of a transposed convolution: input) meets all weights of its channel."""
        per_channel = math.prod(self.weight.shape[1:])
        return math.prod(inputs[0] if self._transposed else output) * per_channel

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        defaults = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"}
        for name, default in defaults.items():
            if getattr(self, name, default) != default:
                parts.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(parts) + (", bias=False" if self.bias is None else "")


class _Conv(_Kernels):
    _op = "conv"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: ConvPadMode = "zeros",
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        op = type(self).__name__
        mode = check_padding_mode(op, "padding_mode", padding_mode, ("zeros", "reflect", "replicate", "circular"))
        self.padding = scalars.padding(op, padding, self._rank)
        self._settle(in_channels, out_channels, kernel_size, stride, dilation, groups, bias, dtype, rng)
        self.padding_mode: Any = mode

    def forward(self, x: Value) -> Tensor:
        """x (N, in_channels, *size) -> (N, out_channels, *out)."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = self._padded(x), 0
        return self._function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _padded(self, x: Value) -> Value:
        """x with what the mode puts around it; what does not fit stays as it is, and the function says what is wrong."""
        if not isinstance(x, Tensor):
            x = array(f"conv{self._rank}d", "x", x)
        if x.ndim != self._rank + 2 or x.shape[1] != self.weight.shape[1] * self.groups:
            return x
        sides = padding_sides(x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation)
        return F.pad(x, ((0, 0), (0, 0), *sides), self.padding_mode)

    def receptive_window(self, size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """The dilated kernel."""
        return tuple((d * (k - 1) + 1, s) for k, s, d in self._axes(self.kernel_size, self.stride, self.dilation))


class Conv1d(_Conv, rank=1):
    """Convolution of sequences (N, C, W).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or (int,)
        Extents of the kernel.
    stride, dilation : int or (int,)
        Steps between windows, and between the elements under a kernel.
    padding : int, (int,) or ((int, int),), or {"valid", "same", "full"}
        How much is put around the sequence; see `fastnn.functional.conv1d`.
    groups : int
        Groups of channels that don't see each other; must divide both numbers of channels.
    bias : bool
        Whether to add a bias.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is put there: zeros, or elements of the sequence in one of the ways of `fastnn.functional.pad`.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes. The weights are drawn by `init.he_uniform`; biases start at 0.

    Attributes
    ----------
    weight : Parameter, (out_channels, in_channels // groups, kw)
    bias : Parameter, (out_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Conv1d(3, 8, 5, padding="same", rng=0)(np.ones((2, 3, 20), np.float32)).shape
    (2, 8, 20)
    """


class Conv2d(_Conv, rank=2):
    """Convolution of images (N, C, H, W).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or (int, int)
        Extents of the kernel.
    stride, dilation : int or (int, int)
        Steps between windows, and between the elements under a kernel.
    padding : int, (int, int) or ((int, int), (int, int)), or {"valid", "same", "full"}
        How much is put around the image; see `fastnn.functional.conv2d`.
    groups : int
        Groups of channels that don't see each other; must divide both numbers of channels.
    bias : bool
        Whether to add a bias.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is put there: zeros, or elements of the image in one of the ways of `fastnn.functional.pad`.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes. The weights are drawn by `init.he_uniform`; biases start at 0.

    Attributes
    ----------
    weight : Parameter, (out_channels, in_channels // groups, kh, kw)
    bias : Parameter, (out_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Conv2d(3, 8, 3, stride=2, padding=1, rng=0)(np.ones((2, 3, 16, 16), np.float32)).shape
    (2, 8, 8, 8)
    """


class Conv3d(_Conv, rank=3):
    """Convolution of volumes or videos (N, C, D, H, W).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or (int, int, int)
        Extents of the kernel.
    stride, dilation : int or (int, int, int)
        Steps between windows, and between the elements under a kernel.
    padding : int, (int, int, int) or ((int, int), (int, int), (int, int)), or {"valid", "same", "full"}
        How much is put around the volume; see `fastnn.functional.conv3d`.
    groups : int
        Groups of channels that don't see each other; must divide both numbers of channels.
    bias : bool
        Whether to add a bias.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is put there: zeros, or elements of the volume in one of the ways of `fastnn.functional.pad`.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes. The weights are drawn by `init.he_uniform`; biases start at 0.

    Attributes
    ----------
    weight : Parameter, (out_channels, in_channels // groups, kd, kh, kw)
    bias : Parameter, (out_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Conv3d(3, 8, (1, 3, 3), padding=(0, 1, 1), rng=0)(np.ones((2, 3, 4, 8, 8), np.float32)).shape
    (2, 8, 4, 8, 8)
    """


class _ConvTranspose(_Kernels):
    _op = "conv_transpose"
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: int | Sequence[int | Sequence[int]] = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        op = type(self).__name__
        self._settle(in_channels, out_channels, kernel_size, stride, dilation, groups, bias, dtype, rng)
        if isinstance(padding, str):
            raise TypeError(f"{op}: padding must be an int, or an int or a pair (low, high) per axis, got {padding!r}")
        self.padding = scalars.padding(op, padding, self._rank)
        self.output_padding = scalars.per_axis(op, "output_padding", output_padding, self._rank, 0)

    def forward(self, x: Value) -> Tensor:
        """x (N, in_channels, *size) -> (N, out_channels, *out)."""
        return self._function(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )  # fmt: skip

    def receptive_window(self, size: tuple[int, ...]) -> tuple[tuple[int, Fraction], ...]:
        """The inputs whose kernels reach an output: every stride-th tap of one."""
        from fractions import Fraction  # here, since importing it takes longer than this module

        axes = self._axes(self.kernel_size, self.stride, self.dilation)
        return tuple((d * (k - 1) // s + 1, Fraction(1, s)) for k, s, d in axes)


class ConvTranspose1d(_ConvTranspose, rank=1):
    """Transposed convolution of sequences (N, C, W), which lengthens them.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or (int,)
        Extents of the kernel.
    stride, dilation : int or (int,)
        Step between the places where neighbouring inputs are put, and between the elements of the kernel.
    padding : int, (int,) or ((int, int),)
        How much is cut off at the sides of the result.
    output_padding : int or (int,)
        Outputs more at the high side; below stride or dilation.
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
    weight : Parameter, (in_channels, out_channels // groups, kw)
    bias : Parameter, (out_channels,), or None

    Notes
    -----
    The output sizes are in `fastnn.functional.conv_transpose1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ConvTranspose1d(8, 3, 4, stride=2, padding=1, rng=0)(np.ones((2, 8, 10), np.float32)).shape
    (2, 3, 20)
    """


class ConvTranspose2d(_ConvTranspose, rank=2):
    """Transposed convolution of images (N, C, H, W), which enlarges them.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or (int, int)
        Extents of the kernel.
    stride, dilation : int or (int, int)
        Step between the places where neighbouring inputs are put, and between the elements of the kernel.
    padding : int, (int, int) or ((int, int), (int, int))
        How much is cut off at the sides of the result.
    output_padding : int or (int, int)
        Outputs more at the high side; below stride or dilation.
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
    weight : Parameter, (in_channels, out_channels // groups, kh, kw)
    bias : Parameter, (out_channels,), or None

    Notes
    -----
    The output sizes are in `fastnn.functional.conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> layer = nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=1, rng=0)
    >>> layer(np.ones((2, 8, 16, 16), np.float32)).shape
    (2, 3, 32, 32)
    """


class ConvTranspose3d(_ConvTranspose, rank=3):
    """Transposed convolution of volumes (N, C, D, H, W), which enlarges them.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or (int, int, int)
        Extents of the kernel.
    stride, dilation : int or (int, int, int)
        Step between the places where neighbouring inputs are put, and between the elements of the kernel.
    padding : int, (int, int, int) or ((int, int), (int, int), (int, int))
        How much is cut off at the sides of the result.
    output_padding : int or (int, int, int)
        Outputs more at the high side; below stride or dilation.
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
    weight : Parameter, (in_channels, out_channels // groups, kd, kh, kw)
    bias : Parameter, (out_channels,), or None

    Notes
    -----
    The output sizes are in `fastnn.functional.conv_transpose3d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ConvTranspose3d(4, 2, 2, stride=2, rng=0)(np.ones((1, 4, 2, 3, 4), np.float32)).shape
    (1, 2, 4, 6, 8)
    """
