"""Pooling layers: the functions of the same names with their arguments kept."""

from __future__ import annotations

from .._types import Ints, Padding, Value
from ..checks import pool_divisor, scalars
from .kinds import OfRank, WithoutParameters

__all__ = [
    "AvgPool1d", "AvgPool2d", "AvgPool3d", "LPPool1d", "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d",
]  # fmt: skip


class _Pool(WithoutParameters, OfRank):
    def __init__(
        self, kernel_size: Ints, stride: Ints | None, padding: Padding, dilation: Ints, ceil_mode: bool
    ) -> None:
        op = type(self).__name__
        self.kernel_size = scalars.per_axis(op, "kernel_size", kernel_size, self._rank)
        self.stride = self.kernel_size if stride is None else scalars.per_axis(op, "stride", stride, self._rank)
        self.padding = scalars.padding(op, padding, self._rank)
        self.dilation = scalars.per_axis(op, "dilation", dilation, self._rank)
        self.ceil_mode = scalars.flag(op, "ceil_mode", ceil_mode)

    def receptive_window(self, size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """The dilated window."""
        axes = self._axes(self.kernel_size, self.stride, self.dilation)
        return tuple((d * (k - 1) + 1, s) for k, s, d in axes)

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding:
            text += f", padding={self.padding!r}"
        text += ", ceil_mode=True" if self.ceil_mode else ""
        return text + (f", dilation={self.dilation}" if self.dilation != 1 else "")


class _MaxPool(_Pool):
    _op = "max_pool"

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)

    def forward(self, x: Value) -> Value:
        """x (N, C, *size) -> (N, C, *out)."""
        return self._function(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


class MaxPool1d(_MaxPool, rank=1):
    """The largest element under each window of (N, C, W).

    Parameters
    ----------
    kernel_size : int or (int,)
        Size of the window.
    stride : int or (int,), optional
        Step of the window; its size by default, less makes windows overlap.
    padding : int, (int,) or ((int, int),), or str
        Border that never wins, in the forms of `fastnn.functional.conv2d`.
    dilation : int or (int,)
        Step between the taps of a window.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.

    Notes
    -----
    Among equals the first gets the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.MaxPool1d(2)(np.array([[[1.0, 3.0, 2.0, 0.0]]]))
    array([[[3., 2.]]])
    """


class MaxPool2d(_MaxPool, rank=2):
    """The largest element under each window of (N, C, H, W).

    Parameters
    ----------
    kernel_size : int or (int, int)
        Size of the window.
    stride : int or (int, int), optional
        Step of the window; its size by default, less makes windows overlap.
    padding : int, (int, int) or ((int, int), (int, int)), or str
        Border that never wins, in the forms of `fastnn.functional.conv2d`.
    dilation : int or (int, int)
        Step between the taps of a window.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.

    Notes
    -----
    Among equals the first gets the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.MaxPool2d(3, stride=2, padding=1)(np.ones((1, 4, 8, 8))).shape
    (1, 4, 4, 4)
    """


class MaxPool3d(_MaxPool, rank=3):
    """The largest element under each window of (N, C, D, H, W).

    Parameters
    ----------
    kernel_size : int or (int, int, int)
        Size of the window.
    stride : int or (int, int, int), optional
        Step of the window; its size by default, less makes windows overlap.
    padding : int, (int, int, int) or ((int, int), (int, int), (int, int)), or str
        Border that never wins, in the forms of `fastnn.functional.conv2d`.
    dilation : int or (int, int, int)
        Step between the taps of a window.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.

    Notes
    -----
    Among equals the first gets the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.MaxPool3d((1, 2, 2))(np.ones((1, 4, 3, 8, 8))).shape
    (1, 4, 3, 4, 4)
    """


class _AvgPool(_Pool):
    _op = "avg_pool"

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        dilation: Ints = 1,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        self.count_include_pad, self.divisor_override = pool_divisor(
            type(self).__name__, count_include_pad, divisor_override
        )

    def forward(self, x: Value) -> Value:
        """x (N, C, *size) -> (N, C, *out)."""
        return self._function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
            self.dilation,
        )

    def extra_repr(self) -> str:
        text = super().extra_repr() + ("" if self.count_include_pad else ", count_include_pad=False")
        return text if self.divisor_override is None else f"{text}, divisor_override={self.divisor_override}"


class AvgPool1d(_AvgPool, rank=1):
    """The mean under each window of (N, C, W).

    Parameters
    ----------
    kernel_size : int or (int,)
        Size of the window.
    stride : int or (int,), optional
        Step of the window; its size by default, less makes windows overlap.
    padding : int, (int,) or ((int, int),), or str
        Zeros around the sequence, in the forms of `fastnn.functional.conv2d`.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.
    count_include_pad : bool
        Whether padding counts in the divisor. What overhangs the padded sequence (``ceil_mode``) never does.
    divisor_override : int, optional
        What to divide the sum of every window by, instead of the number of its elements.
    dilation : int or (int,)
        Step between the elements of a window.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AvgPool1d(2)(np.array([[[1.0, 3.0, 2.0, 0.0]]]))
    array([[[2., 1.]]])
    """


class AvgPool2d(_AvgPool, rank=2):
    """The mean under each window of (N, C, H, W).

    Parameters
    ----------
    kernel_size : int or (int, int)
        Size of the window.
    stride : int or (int, int), optional
        Step of the window; its size by default, less makes windows overlap.
    padding : int, (int, int) or ((int, int), (int, int)), or str
        Zeros around the image, in the forms of `fastnn.functional.conv2d`.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.
    count_include_pad : bool
        Whether padding counts in the divisor. What overhangs the padded image (``ceil_mode``) never does.
    divisor_override : int, optional
        What to divide the sum of every window by, instead of the number of its elements.
    dilation : int or (int, int)
        Step between the elements of a window.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AvgPool2d(2)(np.ones((1, 4, 8, 8))).shape
    (1, 4, 4, 4)
    """


class AvgPool3d(_AvgPool, rank=3):
    """The mean under each window of (N, C, D, H, W).

    Parameters
    ----------
    kernel_size : int or (int, int, int)
        Size of the window.
    stride : int or (int, int, int), optional
        Step of the window; its size by default, less makes windows overlap.
    padding : int, (int, int, int) or ((int, int), (int, int), (int, int)), or str
        Zeros around the volume, in the forms of `fastnn.functional.conv2d`.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.
    count_include_pad : bool
        Whether padding counts in the divisor. What overhangs the padded volume (``ceil_mode``) never does.
    divisor_override : int, optional
        What to divide the sum of every window by, instead of the number of its elements.
    dilation : int or (int, int, int)
        Step between the elements of a window.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AvgPool3d(2)(np.ones((1, 4, 4, 8, 8))).shape
    (1, 4, 2, 4, 4)
    """


class _LPPool(_Pool):
    _op = "lp_pool"

    def __init__(
        self,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
        dilation: Ints = 1,
    ) -> None:
        super().__init__(kernel_size, stride, 0, dilation, ceil_mode)
        self.norm_type = scalars.real(type(self).__name__, "norm_type", norm_type, 0.0, open_low=True)

    def forward(self, x: Value) -> Value:
        """x (N, C, *size) -> (N, C, *out)."""
        return self._function(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode, dilation=self.dilation)

    def extra_repr(self) -> str:
        return f"norm_type={self.norm_type:g}, " + super().extra_repr()


class LPPool1d(_LPPool, rank=1):
    """``(Σ|x|^p)^(1/p)`` over each window of (N, C, W).

    Parameters
    ----------
    norm_type : float
        The exponent p, above 0: 1 gives the sum of magnitudes, 2 the Euclidean norm.
    kernel_size : int or (int,)
        Size of the window.
    stride : int or (int,), optional
        Step of the window; its size by default, less makes windows overlap.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.
    dilation : int or (int,)
        Step between the elements of a window.

    Notes
    -----
    PyTorch leaves out the absolute value.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LPPool1d(2, 2)(np.array([[[3.0, 4.0]]]))
    array([[[5.]]])
    """


class LPPool2d(_LPPool, rank=2):
    """``(Σ|x|^p)^(1/p)`` over each window of (N, C, H, W).

    Parameters
    ----------
    norm_type : float
        The exponent p, above 0: 1 gives the sum of magnitudes, 2 the Euclidean norm.
    kernel_size : int or (int, int)
        Size of the window.
    stride : int or (int, int), optional
        Step of the window; its size by default, less makes windows overlap.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.
    dilation : int or (int, int)
        Step between the elements of a window.

    Notes
    -----
    PyTorch leaves out the absolute value.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LPPool2d(2, 2)(np.ones((1, 1, 2, 2)))
    array([[[[2.]]]])
    """


class LPPool3d(_LPPool, rank=3):
    """``(Σ|x|^p)^(1/p)`` over each window of (N, C, D, H, W).

    Parameters
    ----------
    norm_type : float
        The exponent p, above 0: 1 gives the sum of magnitudes, 2 the Euclidean norm.
    kernel_size : int or (int, int, int)
        Size of the window.
    stride : int or (int, int, int), optional
        Step of the window; its size by default, less makes windows overlap.
    ceil_mode : bool
        Round the output size up, as `fastnn.functional.max_pool2d` explains.
    dilation : int or (int, int, int)
        Step between the elements of a window.

    Notes
    -----
    PyTorch leaves out the absolute value.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.LPPool3d(3, 2)(np.ones((1, 1, 2, 2, 2)))
    array([[[[[2.]]]]])
    """
