"""Dropout."""

from __future__ import annotations

from typing import Any

from .. import backend, checks
from .._types import Array, Constant, Rng, Value
from ..autograd import Tensor, record, self_adjoint
from . import _docs
from ._random import key, key_again

__all__ = [
    "dropout",
    "dropout1d",
    "dropout1d_backward",
    "dropout2d",
    "dropout2d_backward",
    "dropout3d",
    "dropout3d_backward",
    "dropout_backward",
]


_BACKWARD = """
Parameters
----------
dy : array_like{shape}
    The gradient of the output, of its shape, float32 or float64.
p, training
    What `{op}` got.
rng : int, sequence of int or SeedSequence
    What `{op}` got, from which the same mask follows; not needed where nothing is dropped. A generator has moved on
    since, so it is refused: draw a seed from it for both, ``seed = int(generator.integers(2**63))``.

Returns
-------
ndarray
    The gradient of ``x``, of its shape; ``dy`` as it is where nothing is dropped.

Raises
------
TypeError
    For a dtype other than float32 and float64, or an ``rng`` that would give another mask than in the forward: None
    or a generator.
ValueError
    If ``p`` is not in [0, 1]{refused}.
"""


def dropout(x: Value, p: float = 0.5, training: bool = True, *, rng: Rng | None = None) -> Value:
    """Set elements to zero with probability ``p`` and scale the others by ``1 / (1 - p)``.

    The mask follows from 64 bits drawn from ``rng`` and the position of the element: it is the same on both
    backends and for every number of threads.

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape.
    p : float
        The probability, in [0, 1].
    training : bool
        If False, or if ``p`` is 0, ``x`` comes back as it is (copied only where its layout must change).
    rng : None, int, sequence of int, SeedSequence or Generator
        What `numpy.random.default_rng` takes. A generator gives a new mask at each call, an int the same one
        again, as `dropout_backward` needs it, None one that cannot be foreseen.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If ``p`` is not in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> y = F.dropout(np.ones(1000), 0.25, rng=0)
    >>> np.unique(y).round(3), bool(abs(y.mean() - 1) < 0.1)
    (array([0.   , 1.333]), True)
    """
    x_ = checks.array("dropout", "x", x.data if isinstance(x, Tensor) else x)
    p = checks.real("dropout", "p", p, 0.0, 1.0)
    if not checks.flag("dropout", "training", training) or p == 0:
        return x if isinstance(x, Tensor) else x_
    forward, bits = backend.current().dropout_forward, key("dropout", rng)
    y = forward(x_, p, bits)
    return record("dropout", y, (x,), _dropout_vjp(forward, p, bits), self_adjoint, ()) if isinstance(x, Tensor) else y


def _dropout_vjp(forward: Any, p: float, bits: int) -> Any:
    return lambda dy, needs: (forward(dy, p, bits),)


@_docs.sections(_BACKWARD, shape="", refused="")
def dropout_backward(dy: Constant, p: float = 0.5, training: bool = True, *, rng: Rng | None = None) -> Array:
    """Gradient of `dropout`: ``dy`` with the mask and the scale of the forward.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> generator = np.random.default_rng(0)
    >>> seed = int(generator.integers(2**63))
    >>> y = F.dropout(np.ones(1000), 0.25, rng=seed)
    >>> dx = F.dropout_backward(np.ones(1000), 0.25, rng=seed)
    >>> np.array_equal(dx, y)
    True
    """
    op = "dropout_backward"
    dy_ = checks.array(op, "dy", dy)
    p = checks.real(op, "p", p, 0.0, 1.0)
    if not checks.flag(op, "training", training) or p == 0:
        return dy_
    return backend.current().dropout_forward(dy_, p, key_again(op, rng))


def dropout1d(x: Value, p: float = 0.5, training: bool = True, *, rng: Rng | None = None) -> Value:
    """Spatial dropout of signals: whole channels of a sample are zero or kept.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, width)
        float32 or float64.
    p, training, rng
        As in `dropout2d`.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError, ValueError
        As `dropout2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> np.unique(F.dropout1d(np.ones((8, 5, 7)), 0.5, rng=0))
    array([0., 2.])
    """
    return _spatial("dropout1d", 1, x, p, training, rng)


@_docs.sections(_BACKWARD, shape=", shape (n, channels, width)", refused=", or ``dy`` has another number of axes")
def dropout1d_backward(dy: Constant, p: float = 0.5, training: bool = True, *, rng: Rng | None = None) -> Array:
    """Gradient of `dropout1d`: ``dy`` with the mask and the scale of the forward.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> y = F.dropout1d(np.ones((8, 5, 7)), 0.5, rng=7)
    >>> np.array_equal(F.dropout1d_backward(np.ones((8, 5, 7)), 0.5, rng=7), y)
    True
    """
    return _spatial_backward("dropout1d_backward", 1, dy, p, training, rng)


def dropout2d(x: Value, p: float = 0.5, training: bool = True, *, rng: Rng | None = None) -> Value:
    """Spatial dropout of images: whole channels of a sample are zero or kept.

    Neighbouring pixels are so alike that dropping them one by one hides little. Source: Tompson et al. 2015.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, height, width)
        float32 or float64.
    p : float
        The probability that a channel of a sample is dropped, in [0, 1]; the others are scaled by ``1 / (1 - p)``.
    training : bool
        If False, or if ``p`` is 0, ``x`` comes back as it is (copied only where its layout must change).
    rng : None, int, sequence of int, SeedSequence or Generator
        As in `dropout`.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If ``p`` is not in [0, 1], or ``x`` has another number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> y = F.dropout2d(np.ones((8, 5, 7, 7)), 0.5, rng=0)
    >>> np.unique(y.min(axis=(2, 3)) == y.max(axis=(2, 3))), np.unique(y)
    (array([ True]), array([0., 2.]))
    """
    return _spatial("dropout2d", 2, x, p, training, rng)


@_docs.sections(
    _BACKWARD, shape=", shape (n, channels, height, width)", refused=", or ``dy`` has another number of axes"
)
def dropout2d_backward(dy: Constant, p: float = 0.5, training: bool = True, *, rng: Rng | None = None) -> Array:
    """Gradient of `dropout2d`: ``dy`` with the mask and the scale of the forward.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> y = F.dropout2d(np.ones((8, 5, 7, 7)), 0.5, rng=7)
    >>> np.array_equal(F.dropout2d_backward(np.ones((8, 5, 7, 7)), 0.5, rng=7), y)
    True
    """
    return _spatial_backward("dropout2d_backward", 2, dy, p, training, rng)


def dropout3d(x: Value, p: float = 0.5, training: bool = True, *, rng: Rng | None = None) -> Value:
    """Spatial dropout of volumes: whole channels of a sample are zero or kept.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, depth, height, width)
        float32 or float64.
    p, training, rng
        As in `dropout2d`.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError, ValueError
        As `dropout2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> np.unique(F.dropout3d(np.ones((8, 5, 3, 4, 4)), 0.5, rng=0))
    array([0., 2.])
    """
    return _spatial("dropout3d", 3, x, p, training, rng)


@_docs.sections(
    _BACKWARD, shape=", shape (n, channels, depth, height, width)", refused=", or ``dy`` has another number of axes"
)
def dropout3d_backward(dy: Constant, p: float = 0.5, training: bool = True, *, rng: Rng | None = None) -> Array:
    """Gradient of `dropout3d`: ``dy`` with the mask and the scale of the forward.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> y = F.dropout3d(np.ones((8, 5, 3, 4, 4)), 0.5, rng=7)
    >>> np.array_equal(F.dropout3d_backward(np.ones((8, 5, 3, 4, 4)), 0.5, rng=7), y)
    True
    """
    return _spatial_backward("dropout3d_backward", 3, dy, p, training, rng)


def _spatial(op: str, rank: int, x: Any, p: float, training: bool, rng: Any) -> Any:
    x_ = checks.array(op, "x", x.data if isinstance(x, Tensor) else x)
    planes = checks.planes(op, rank, x_)
    p = checks.real(op, "p", p, 0.0, 1.0)
    if not checks.flag(op, "training", training) or p == 0:
        return x if isinstance(x, Tensor) else x_
    forward, bits = backend.current().spatial_dropout_forward, key(op, rng)
    y = forward(x_, planes, p, bits)
    return record(op, y, (x,), _spatial_vjp(forward, planes, p, bits), self_adjoint, ()) if isinstance(x, Tensor) else y


def _spatial_vjp(forward: Any, planes: int, p: float, bits: int) -> Any:
    return lambda dy, needs: (forward(dy, planes, p, bits),)


def _spatial_backward(op: str, rank: int, dy: Any, p: float, training: bool, rng: Any) -> Array:
    dy_ = checks.array(op, "dy", dy)
    planes = checks.planes(op, rank, dy_, "dy")
    p = checks.real(op, "p", p, 0.0, 1.0)
    if not checks.flag(op, "training", training) or p == 0:
        return dy_
    return backend.current().spatial_dropout_forward(dy_, planes, p, key_again(op, rng))
