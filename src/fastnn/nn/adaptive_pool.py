"""Adaptive pooling layers, which are told the size of their output."""

from __future__ import annotations

from collections.abc import Sequence

from .._types import Value
from ..checks import adaptive_output_size
from .kinds import OfRank, WithoutParameters

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d",
]  # fmt: skip


class _AdaptivePool(WithoutParameters, OfRank):
    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        adaptive_output_size(type(self).__name__, self._rank, output_size)
        self.output_size = tuple(output_size) if isinstance(output_size, list) else output_size

    def forward(self, x: Value) -> Value:
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


class _AdaptiveAvgPool(_AdaptivePool):
    _op = "adaptive_avg_pool"


class AdaptiveAvgPool1d(_AdaptiveAvgPool, rank=1):
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


class AdaptiveAvgPool2d(_AdaptiveAvgPool, rank=2):
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


class AdaptiveAvgPool3d(_AdaptiveAvgPool, rank=3):
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


class _AdaptiveMaxPool(_AdaptivePool):
    _op = "adaptive_max_pool"


class AdaptiveMaxPool1d(_AdaptiveMaxPool, rank=1):
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


class AdaptiveMaxPool2d(_AdaptiveMaxPool, rank=2):
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


class AdaptiveMaxPool3d(_AdaptiveMaxPool, rank=3):
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
