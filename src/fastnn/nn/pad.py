"""Padding layers: `fastnn.functional.pad` along the last axes, with its arguments kept."""

from __future__ import annotations

from typing import ClassVar

from .. import checks
from .. import functional as F
from .._types import Ints, PadMode, Value
from .kinds import WithoutParameters

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d",
    "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(WithoutParameters):
    """Layers of one definition: each says how many axes it pads (``class ZeroPad2d(_ZeroPad, rank=2)``)."""

    _rank: ClassVar[int]
    _mode: ClassVar[PadMode]

    def __init_subclass__(cls, rank: int | None = None, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if rank is not None:
            cls._rank = rank

    def __init__(self, padding: Ints) -> None:
        self.padding = checks.layer_padding(type(self).__name__, padding, self._rank)

    def forward(self, x: Value) -> Value:
        """x (..., *size) -> (..., *out)."""
        return F.pad(x, self.padding, self._mode)

    def receptive_window(self, size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Each output is an input, or depends on one."""
        return ((1, 1),) * len(size)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Ints, value: float) -> None:
        super().__init__(padding)
        self.value = checks.pad_value(type(self).__name__, value)

    def forward(self, x: Value) -> Value:
        """x (..., *size) -> (..., *out)."""
        return F.pad(x, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    _mode = "constant"


class _ReflectionPad(_Pad):
    _mode = "reflect"


class _ReplicationPad(_Pad):
    _mode = "replicate"


class _CircularPad(_Pad):
    _mode = "circular"


class ZeroPad1d(_ZeroPad, rank=1):
    """Zeros around sequences (..., W).

    Parameters
    ----------
    padding : int or (int, int)
        How much is put on each side, or ``(left, right)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ZeroPad1d((2, 1))(np.array([[[1.0, 2.0, 3.0]]]))
    array([[[0., 0., 1., 2., 3., 0.]]])
    """


class ZeroPad2d(_ZeroPad, rank=2):
    """Zeros around images (..., H, W).

    Parameters
    ----------
    padding : int or (int, int, int, int)
        How much is put on each side, or ``(left, right, top, bottom)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ZeroPad2d((1, 0, 2, 3))(np.ones((1, 3, 8, 8))).shape
    (1, 3, 13, 9)
    """


class ZeroPad3d(_ZeroPad, rank=3):
    """Zeros around volumes (..., D, H, W).

    Parameters
    ----------
    padding : int or tuple of 6 ints
        How much is put on each side, or ``(left, right, top, bottom, front, back)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ZeroPad3d(1)(np.ones((1, 3, 4, 8, 8))).shape
    (1, 3, 6, 10, 10)
    """


class ConstantPad1d(_ConstantPad, rank=1):
    """One number around sequences (..., W).

    Parameters
    ----------
    padding : int or (int, int)
        How much is put on each side, or ``(left, right)``. What is negative is cut off.
    value : float
        What is put there; also infinite or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ConstantPad1d((2, 1), 9.0)(np.array([[[1.0, 2.0, 3.0]]]))
    array([[[9., 9., 1., 2., 3., 9.]]])
    """


class ConstantPad2d(_ConstantPad, rank=2):
    """One number around images (..., H, W).

    Parameters
    ----------
    padding : int or (int, int, int, int)
        How much is put on each side, or ``(left, right, top, bottom)``. What is negative is cut off.
    value : float
        What is put there; also infinite or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ConstantPad2d((1, 0, 2, 3), 9.0)(np.ones((1, 3, 8, 8))).shape
    (1, 3, 13, 9)
    """


class ConstantPad3d(_ConstantPad, rank=3):
    """One number around volumes (..., D, H, W).

    Parameters
    ----------
    padding : int or tuple of 6 ints
        How much is put on each side, or ``(left, right, top, bottom, front, back)``. What is negative is cut off.
    value : float
        What is put there; also infinite or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ConstantPad3d(1, 9.0)(np.ones((1, 3, 4, 8, 8))).shape
    (1, 3, 6, 10, 10)
    """


class ReflectionPad1d(_ReflectionPad, rank=1):
    """What mirrors give around sequences (..., W); the outermost elements are not repeated.

    Parameters
    ----------
    padding : int or (int, int)
        How much is put on each side, or ``(left, right)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReflectionPad1d((2, 1))(np.array([[[1.0, 2.0, 3.0]]]))
    array([[[3., 2., 1., 2., 3., 2.]]])
    """


class ReflectionPad2d(_ReflectionPad, rank=2):
    """What mirrors give around images (..., H, W); the outermost elements are not repeated.

    Parameters
    ----------
    padding : int or (int, int, int, int)
        How much is put on each side, or ``(left, right, top, bottom)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReflectionPad2d((1, 0, 2, 3))(np.ones((1, 3, 8, 8))).shape
    (1, 3, 13, 9)
    """


class ReflectionPad3d(_ReflectionPad, rank=3):
    """What mirrors give around volumes (..., D, H, W); the outermost elements are not repeated.

    Parameters
    ----------
    padding : int or tuple of 6 ints
        How much is put on each side, or ``(left, right, top, bottom, front, back)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReflectionPad3d(1)(np.ones((1, 3, 4, 8, 8))).shape
    (1, 3, 6, 10, 10)
    """


class ReplicationPad1d(_ReplicationPad, rank=1):
    """Copies of the outermost elements around sequences (..., W).

    Parameters
    ----------
    padding : int or (int, int)
        How much is put on each side, or ``(left, right)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReplicationPad1d((2, 1))(np.array([[[1.0, 2.0, 3.0]]]))
    array([[[1., 1., 1., 2., 3., 3.]]])
    """


class ReplicationPad2d(_ReplicationPad, rank=2):
    """Copies of the outermost elements around images (..., H, W).

    Parameters
    ----------
    padding : int or (int, int, int, int)
        How much is put on each side, or ``(left, right, top, bottom)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReplicationPad2d((1, 0, 2, 3))(np.ones((1, 3, 8, 8))).shape
    (1, 3, 13, 9)
    """


class ReplicationPad3d(_ReplicationPad, rank=3):
    """Copies of the outermost elements around volumes (..., D, H, W).

    Parameters
    ----------
    padding : int or tuple of 6 ints
        How much is put on each side, or ``(left, right, top, bottom, front, back)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.ReplicationPad3d(1)(np.ones((1, 3, 4, 8, 8))).shape
    (1, 3, 6, 10, 10)
    """


class CircularPad1d(_CircularPad, rank=1):
    """The elements of the other end around sequences (..., W).

    Parameters
    ----------
    padding : int or (int, int)
        How much is put on each side, or ``(left, right)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.CircularPad1d((2, 1))(np.array([[[1.0, 2.0, 3.0]]]))
    array([[[2., 3., 1., 2., 3., 1.]]])
    """


class CircularPad2d(_CircularPad, rank=2):
    """The elements of the other end around images (..., H, W).

    Parameters
    ----------
    padding : int or (int, int, int, int)
        How much is put on each side, or ``(left, right, top, bottom)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.CircularPad2d((1, 0, 2, 3))(np.ones((1, 3, 8, 8))).shape
    (1, 3, 13, 9)
    """


class CircularPad3d(_CircularPad, rank=3):
    """The elements of the other end around volumes (..., D, H, W).

    Parameters
    ----------
    padding : int or tuple of 6 ints
        How much is put on each side, or ``(left, right, top, bottom, front, back)``. What is negative is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.CircularPad3d(1)(np.ones((1, 3, 4, 8, 8))).shape
    (1, 3, 6, 10, 10)
    """
