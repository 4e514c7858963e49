"""Pooling layers: the functions of the same names with their arguments kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import functional as F
from ..checks import adaptive_output_size, pool_divisor, scalars
from .module import Module


class _Pool(Module):
    _rank: ClassVar[int]
    _function: ClassVar[Callable[..., Any]]

    def __init__(self, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool) -> None:
        op = type(self).__name__
        self.kernel_size = scalars.per_axis(op, "kernel_size", kernel_size, self._rank)
        self.stride = self.kernel_size if stride is None else scalars.per_axis(op, "stride", stride, self._rank)
        self.padding = scalars.padding(op, padding, self._rank)
        self.ceil_mode = scalars.flag(op, "ceil_mode", ceil_mode)

    def receptive_window(self, size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """The dilated window."""
        arguments = (self.kernel_size, self.stride, getattr(self, "dilation", 1))
        axes = zip(*(v if isinstance(v, tuple) else (v,) * self._rank for v in arguments), strict=True)
        return tuple((d * (k - 1) + 1, s) for k, s, d in axes)

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding:
            text += f", padding={self.padding!r}"
        return text + (", ceil_mode=True" if self.ceil_mode else "")


class _MaxPool(_Pool):
    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation = scalars.per_axis(type(self).__name__, "dilation", dilation, self._rank)

    def forward(self, x: Any) -> Any:
        """x (N, C, *size) -> (N, C, *out)."""
        return self._function(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", dilation={self.dilation}" if self.dilation != 1 else "")


class MaxPool1d(_MaxPool):
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

    _rank, _function = 1, staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
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

    _rank, _function = 2, staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
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

    _rank, _function = 3, staticmethod(F.max_pool3d)


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad, self.divisor_override = pool_divisor(
            type(self).__name__, count_include_pad, divisor_override
        )

    def forward(self, x: Any) -> Any:
        """x (N, C, *size) -> (N, C, *out)."""
        return self._function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        text = super().extra_repr() + ("" if self.count_include_pad else ", count_include_pad=False")
        return text if self.divisor_override is None else f"{text}, divisor_override={self.divisor_override}"


class AvgPool1d(_AvgPool):
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

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AvgPool1d(2)(np.array([[[1.0, 3.0, 2.0, 0.0]]]))
    array([[[2., 1.]]])
    """

    _rank, _function = 1, staticmethod(F.avg_pool1d)


class AvgPool2d(_AvgPool):
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

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AvgPool2d(2)(np.ones((1, 4, 8, 8))).shape
    (1, 4, 4, 4)
    """

    _rank, _function = 2, staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
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

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AvgPool3d(2)(np.ones((1, 4, 4, 8, 8))).shape
    (1, 4, 2, 4, 4)
    """

    _rank, _function = 3, staticmethod(F.avg_pool3d)


class _LPPool(_Pool):
    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__(kernel_size, stride, 0, ceil_mode)
        self.norm_type = scalars.real(type(self).__name__, "norm_type", norm_type, 0.0, open_low=True)

    def forward(self, x: Any) -> Any:
        """x (N, C, *size) -> (N, C, *out)."""
        return self._function(x, self.norm_type, self.kernel_size, self.stride, ceil_mode=self.ceil_mode)

    def extra_repr(self) -> str:
        return f"norm_type={self.norm_type:g}, " + super().extra_repr()


class LPPool1d(_LPPool):
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

    _rank, _function = 1, staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
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

    _rank, _function = 2, staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
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

    _rank, _function = 3, staticmethod(F.lp_pool3d)


class _AdaptivePool(Module):
    _rank: ClassVar[int]
    _function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: Any) -> None:
        adaptive_output_size(type(self).__name__, self._rank, output_size)
        self.output_size = tuple(output_size) if isinstance(output_size, list) else output_size

    def forward(self, x: Any) -> Any:
        """x (N, C, *size) -> (N, C, *output_size)."""
        return self._function(x, self.output_size)

    def receptive_window(self, size: tuple[int, ...]) -> tuple[tuple[int, int], ...] | None:
        """Where all windows are of one size."""
        asked = self.output_size if isinstance(self.output_size, (tuple, list)) else (self.output_size,) * self._rank
        outs = [n if out is None else out for n, out in zip(size, asked, strict=True)]
        if any(n % out for n, out in zip(size, outs, strict=True)):
            return None
        return tuple((n // out, n // out) for n, out in zip(size, outs, strict=True))

    def extra_repr(self) -> str:
        return f"{self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """The mean over windows of (N, C, W), as many as the output is to have elements.

    Parameters
    ----------
    output_size : int or (int or None,)
        Extents of the output; None keeps that of the input, 1 pools globally.

    Notes
    -----
    Window i of an axis of W inputs and O outputs goes from ``floor(i*W/O)`` to ``ceil((i+1)*W/O)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AdaptiveAvgPool1d(1)(np.ones((2, 4, 9))).shape
    (2, 4, 1)
    """

    _rank, _function = 1, staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The mean over windows of (N, C, H, W), as many as the output is to have elements.

    Parameters
    ----------
    output_size : int or (int or None, int or None)
        Extents of the output; None keeps that of the input, 1 pools globally.

    Notes
    -----
    Window i of an axis of W inputs and O outputs goes from ``floor(i*W/O)`` to ``ceil((i+1)*W/O)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AdaptiveAvgPool2d(1)(np.ones((2, 4, 9, 7))).shape
    (2, 4, 1, 1)
    """

    _rank, _function = 2, staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptivePool):
    """The mean over windows of (N, C, D, H, W), as many as the output is to have elements.

    Parameters
    ----------
    output_size : int or (int or None, int or None, int or None)
        Extents of the output; None keeps that of the input, 1 pools globally.

    Notes
    -----
    Window i of an axis of W inputs and O outputs goes from ``floor(i*W/O)`` to ``ceil((i+1)*W/O)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AdaptiveAvgPool3d(1)(np.ones((2, 4, 5, 9, 7))).shape
    (2, 4, 1, 1, 1)
    """

    _rank, _function = 3, staticmethod(F.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptivePool):
    """The largest element over windows of (N, C, W), as many as the output is to have elements.

    Parameters
    ----------
    output_size : int or (int or None,)
        Extents of the output; None keeps that of the input, 1 pools globally.

    Notes
    -----
    Window i of an axis of W inputs and O outputs goes from ``floor(i*W/O)`` to ``ceil((i+1)*W/O)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AdaptiveMaxPool1d(3)(np.ones((2, 4, 9))).shape
    (2, 4, 3)
    """

    _rank, _function = 1, staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptivePool):
    """The largest element over windows of (N, C, H, W), as many as the output is to have elements.

    Parameters
    ----------
    output_size : int or (int or None, int or None)
        Extents of the output; None keeps that of the input, 1 pools globally.

    Notes
    -----
    Window i of an axis of W inputs and O outputs goes from ``floor(i*W/O)`` to ``ceil((i+1)*W/O)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AdaptiveMaxPool2d((3, 2))(np.ones((2, 4, 9, 7))).shape
    (2, 4, 3, 2)
    """

    _rank, _function = 2, staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptivePool):
    """The largest element over windows of (N, C, D, H, W), as many as the output is to have elements.

    Parameters
    ----------
    output_size : int or (int or None, int or None, int or None)
        Extents of the output; None keeps that of the input, 1 pools globally.

    Notes
    -----
    Window i of an axis of W inputs and O outputs goes from ``floor(i*W/O)`` to ``ceil((i+1)*W/O)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.AdaptiveMaxPool3d((1, 3, None))(np.ones((2, 4, 5, 9, 7))).shape
    (2, 4, 1, 3, 7)
    """

    _rank, _function = 3, staticmethod(F.adaptive_max_pool3d)
