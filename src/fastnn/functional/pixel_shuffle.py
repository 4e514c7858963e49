"""Channels as pixels of a larger image, and back."""

from __future__ import annotations

from typing import Any

from .. import checks
from .._types import Array, Constant, Value
from ..checks import Pixels
from ._op import Plan, Tape, operation

__all__ = ["pixel_shuffle", "pixel_shuffle_backward", "pixel_unshuffle", "pixel_unshuffle_backward"]


def pixel_shuffle(x: Value, upscale_factor: int) -> Value:
    """Channels as pixels: each ``r**2`` neighbouring channels become one that is ``r`` times as high and as wide.

    ``y[..., c, h*r + i, w*r + j] = x[..., c*r**2 + i*r + j, h, w]``. Source: Shi et al. 2016.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., channels * r**2, height, width)
        float32 or float64.
    upscale_factor : int
        ``r``, at least 1.

    Returns
    -------
    ndarray or Tensor, shape (..., channels, height * r, width * r)
        Of the dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a factor that is no int.
    ValueError
        If ``x`` has fewer than 3 axes, the factor is below 1, or its square does not divide the channels.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.pixel_shuffle(np.array([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    array([[[1., 2.],
            [3., 4.]]])
    """
    return _SHUFFLE(x, upscale_factor)


def pixel_shuffle_backward(dy: Constant, upscale_factor: int) -> Array:
    """Gradient of `pixel_shuffle`, which is `pixel_unshuffle`.

    Parameters
    ----------
    dy : array_like, shape (..., channels, height * r, width * r)
        The gradient of the output.
    upscale_factor : int
        What `pixel_shuffle` got.

    Returns
    -------
    ndarray, shape (..., channels * r**2, height, width)
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `pixel_unshuffle`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.pixel_shuffle_backward(np.array([[[1.0, 2.0], [3.0, 4.0]]]), 2).ravel()
    array([1., 2., 3., 4.])
    """
    return _SHUFFLE_BACKWARD(dy, upscale_factor)


def pixel_unshuffle(x: Value, downscale_factor: int) -> Value:
    """Pixels as channels: the inverse of `pixel_shuffle`.

    ``y[..., c*r**2 + i*r + j, h, w] = x[..., c, h*r + i, w*r + j]``.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., channels, height * r, width * r)
        float32 or float64.
    downscale_factor : int
        ``r``, at least 1.

    Returns
    -------
    ndarray or Tensor, shape (..., channels * r**2, height, width)
        Of the dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a factor that is no int.
    ValueError
        If ``x`` has fewer than 3 axes, the factor is below 1, or does not divide height and width.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.pixel_unshuffle(np.arange(8.0).reshape(1, 2, 4), 2)[0]
    array([[0., 2.]])
    """
    return _UNSHUFFLE(x, downscale_factor)


def pixel_unshuffle_backward(dy: Constant, downscale_factor: int) -> Array:
    """Gradient of `pixel_unshuffle`, which is `pixel_shuffle`.

    Parameters
    ----------
    dy : array_like, shape (..., channels * r**2, height, width)
        The gradient of the output.
    downscale_factor : int
        What `pixel_unshuffle` got.

    Returns
    -------
    ndarray, shape (..., channels, height * r, width * r)
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `pixel_shuffle`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.pixel_unshuffle_backward(np.array([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    array([[[1., 2.],
            [3., 4.]]])
    """
    return _UNSHUFFLE_BACKWARD(dy, downscale_factor)


def _shuffle_plan(x: Any, upscale_factor: Any) -> Plan:
    arguments = checks.pixel_shuffle("pixel_shuffle", "upscale_factor", x, upscale_factor)
    return Plan("pixel_shuffle", arguments, tape=Tape(_shuffle_vjp, _shuffle_jvp))


def _unshuffle_plan(x: Any, downscale_factor: Any) -> Plan:
    arguments = checks.pixel_unshuffle("pixel_unshuffle", "downscale_factor", x, downscale_factor)
    return Plan("pixel_unshuffle", arguments, tape=Tape(_unshuffle_vjp, _unshuffle_jvp))


def _shuffle_gradient_plan(dy: Any, upscale_factor: Any) -> Plan:
    return Plan(
        "pixel_unshuffle", checks.pixel_unshuffle("pixel_shuffle_backward", "upscale_factor", dy, upscale_factor)
    )


def _unshuffle_gradient_plan(dy: Any, downscale_factor: Any) -> Plan:
    arguments = checks.pixel_shuffle("pixel_unshuffle_backward", "downscale_factor", dy, downscale_factor)
    return Plan("pixel_shuffle", arguments)


# Each of the two is linear, and the gradient of one is the other.


def _shuffle_vjp(ops: Any, dy: Array, needs: Any, g: Pixels) -> Any:
    return ops.pixel_unshuffle(dy, g)


def _shuffle_jvp(ops: Any, tangents: Any, g: Pixels) -> Any:
    return ops.pixel_shuffle(tangents[0], g)


def _unshuffle_vjp(ops: Any, dy: Array, needs: Any, g: Pixels) -> Any:
    return ops.pixel_shuffle(dy, g)


def _unshuffle_jvp(ops: Any, tangents: Any, g: Pixels) -> Any:
    return ops.pixel_unshuffle(tangents[0], g)


_SHUFFLE = operation("pixel_shuffle", _shuffle_plan, ("x",))
_SHUFFLE_BACKWARD = operation("pixel_shuffle_backward", _shuffle_gradient_plan)
_UNSHUFFLE = operation("pixel_unshuffle", _unshuffle_plan, ("x",))
_UNSHUFFLE_BACKWARD = operation("pixel_unshuffle_backward", _unshuffle_gradient_plan)
