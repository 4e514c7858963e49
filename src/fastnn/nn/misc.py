"""Dropout, and layers that only move elements or do nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .. import functional as F
from .._generators import generator
from .._types import Rng, Value
from ..checks import scalars
from .kinds import OfRank, WithoutParameters
from .module import Module

__all__ = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "Flatten", "Identity"]

Anything = TypeVar("Anything")


class Dropout(WithoutParameters):
    """Zeroes elements with probability ``p`` in training and scales the others by 1/(1−p); the identity in evaluation.

    Parameters
    ----------
    p : float
        Probability of being dropped, in 0…1.
    rng : optional
        Anything `numpy.random.default_rng` takes. Each call draws a new mask from the attribute ``rng``, a
        Generator; its ``bit_generator.state`` is what a checkpoint needs to go on with the same masks. A forked child draws
        the masks that its parent would have drawn, but other ones where ``rng`` is None.

    Notes
    -----
    The mask depends on the Generator's state alone, not on backend or thread count.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> dropped = nn.Dropout(0.5, rng=0)(np.ones(1000, np.float32))
    >>> sorted({float(v) for v in dropped})
    [0.0, 2.0]
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        self.p = scalars.real(type(self).__name__, "p", p, 0.0, 1.0)
        self.rng = generator(rng)

    def forward(self, x: Value) -> Value:
        """Any shape; it stays."""
        return F.dropout(x, self.p, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        return f"{self.p:g}"


class _SpatialDropout(Dropout, OfRank):
    _op = "dropout"

    def forward(self, x: Value) -> Value:
        """x (N, C, ...); the shape stays."""
        return self._function(x, self.p, self.training, rng=self.rng)


class Dropout1d(_SpatialDropout, rank=1):
    """Zeroes whole channels of signals (N, C, W) in training and scales the others by 1/(1−p).

    Parameters
    ----------
    p : float
        Probability of being dropped, in 0…1.
    rng : optional
        Anything `numpy.random.default_rng` takes. Each call draws a new mask from the attribute ``rng``, a
        Generator; its ``bit_generator.state`` is what a checkpoint needs to go on with the same masks. A forked child draws
        the masks that its parent would have drawn, but other ones where ``rng`` is None.

    Notes
    -----
    The mask depends on the Generator's state alone, not on backend or thread count.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> np.unique(nn.Dropout1d(0.5, rng=0)(np.ones((4, 8, 5))))
    array([0., 2.])
    """


class Dropout2d(_SpatialDropout, rank=2):
    """Zeroes whole channels of images (N, C, H, W) in training and scales the others by 1/(1−p).

    Parameters
    ----------
    p : float
        Probability of being dropped, in 0…1.
    rng : optional
        Anything `numpy.random.default_rng` takes. Each call draws a new mask from the attribute ``rng``, a
        Generator; its ``bit_generator.state`` is what a checkpoint needs to go on with the same masks. A forked child draws
        the masks that its parent would have drawn, but other ones where ``rng`` is None.

    Notes
    -----
    The mask depends on the Generator's state alone, not on backend or thread count.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> np.unique(nn.Dropout2d(0.5, rng=0)(np.ones((4, 8, 5, 5))))
    array([0., 2.])
    """


class Dropout3d(_SpatialDropout, rank=3):
    """Zeroes whole channels of volumes (N, C, D, H, W) in training and scales the others by 1/(1−p).

    Parameters
    ----------
    p : float
        Probability of being dropped, in 0…1.
    rng : optional
        Anything `numpy.random.default_rng` takes. Each call draws a new mask from the attribute ``rng``, a
        Generator; its ``bit_generator.state`` is what a checkpoint needs to go on with the same masks. A forked child draws
        the masks that its parent would have drawn, but other ones where ``rng`` is None.

    Notes
    -----
    The mask depends on the Generator's state alone, not on backend or thread count.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> np.unique(nn.Dropout3d(0.5, rng=0)(np.ones((4, 8, 5, 5, 2))))
    array([0., 2.])
    """


class Flatten(WithoutParameters):
    """Several axes joined to one; by default all but the first.

    Parameters
    ----------
    start_axis, end_axis : int
        The first and the last axis to join, counted from the end if negative. (PyTorch: ``start_dim``, ``end_dim``.)

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis = scalars.integer("Flatten", "start_axis", start_axis)
        self.end_axis = scalars.integer("Flatten", "end_axis", end_axis)

    def forward(self, x: Any) -> Any:
        """x (a, …, b, …, c) -> (a, b', c)."""
        shape = getattr(x, "shape", None) or np.shape(x)
        if len(shape) > 1 and self.start_axis == 1 and self.end_axis == -1:
            return x.reshape((shape[0], math.prod(shape[1:])))
        try:
            start, end = (normalize_axis_index(axis, len(shape)) for axis in (self.start_axis, self.end_axis))
        except ValueError:
            start, end = 1, 0
        if start > end:
            raise ValueError(f"Flatten: x of shape {shape} has no axes {self.start_axis} to {self.end_axis}")
        return x.reshape((*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self) -> str:
        return "" if (self.start_axis, self.end_axis) == (1, -1) else f"{self.start_axis}, {self.end_axis}"


class Identity(Module):
    """Returns what it gets.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Identity()(3)
    3
    """

    if TYPE_CHECKING:

        def __call__(self, x: Anything) -> Anything: ...

    def forward(self, x: Any) -> Any:
        """Anything."""
        return x
