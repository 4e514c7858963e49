"""Root-mean-square normalisation."""

from __future__ import annotations

from typing import Any

from .. import backend, checks
from .._types import Array, Constant, Ints, Value
from ..checks import ALL, Norm
from ._op import Plan, Tape, operation
from ._tangents import OF_X, axes_of, in_shape, of_affine

__all__ = ["rms_norm", "rms_norm_backward"]


def rms_norm(x: Value, normalized_shape: Ints, weight: Value | None = None, eps: float | None = None) -> Value:
    """Divide each sample by its root mean square over the last axes: ``x / sqrt(mean(x**2) + eps) * weight``.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., *normalized_shape)
        The input, float32 or float64.
    normalized_shape : int or tuple of int
        The last axes of ``x``, over which the mean is taken.
    weight : array_like or Tensor, shape normalized_shape, optional
        Scale.
    eps : float, optional
        Added to the mean of the squares; by default ``numpy.finfo(x.dtype).eps``, as in PyTorch: 1.2e-7 for float32
        and 2.2e-16 for float64.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` or ``weight`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit.

    Notes
    -----
    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.rms_norm(np.array([[1.0, 7.0], [-3.0, -3.0]]), 2, np.array([5.0, 10.0]), eps=0.0)
    array([[  1.,  14.],
           [ -5., -10.]])
    """
    return _FORWARD(x, normalized_shape, weight, eps)


def _plan(x: Any, normalized_shape: Any, weight: Any, eps: Any) -> Plan:
    g, x, w, eps = checks.rms_norm("rms_norm", x, normalized_shape, weight, eps)
    shape = x.shape[x.ndim - axes_of(normalized_shape) :]
    tape = Tape("rms_norm_backward" if len(shape) == 1 else _vjp, _jvp)
    return Plan("rms_norm_forward", (g, x, w, eps), ("y", "rstd"), tape=tape, constants={"shape": shape})


# The gradients where the norm is over several axes: that of the weight must get the shape of these axes.
def _vjp(
    ops: Any, dy: Array, needs: Any, g: Norm, x: Array, weight: Array | None, rstd: Array, shape: tuple[int, ...]
) -> Any:
    return in_shape(ops.rms_norm_backward(g, dy, x, weight, rstd, needs), shape)


def _jvp(
    ops: Any, tangents: Any, g: Norm, x: Array, weight: Array | None, eps: float, rstd: Array, shape: tuple[int, ...]
) -> Any:
    return of_affine(
        tangents,
        lambda t: ops.rms_norm_backward(g, t, x, None, rstd, OF_X[:2])[0],
        lambda: ops.rms_norm_forward(g, x, None, eps)[0],
        None if weight is None else weight.reshape(shape),
    )


_FORWARD = operation("rms_norm", _plan, ("x", "weight"))


def rms_norm_backward(
    dy: Constant,
    x: Constant,
    normalized_shape: Ints,
    weight: Constant | None = None,
    eps: float | None = None,
    rstd: Constant | None = None,
) -> tuple[Array, Array]:
    """Gradients of `rms_norm`.

    Parameters
    ----------
    dy : array_like
        The gradient of the output, of the shape of ``x``.
    x, normalized_shape, weight, eps
        What `rms_norm` got.
    rstd : array_like, optional
        ``1 / sqrt(mean(x**2) + eps)``, of the shape of ``x`` without its normalized axes, in float64 or
        the dtype of ``x``; computed again if missing.

    Returns
    -------
    dx, dweight : ndarray
        Of the shape of ``x``, and of ``normalized_shape``.

    Raises
    ------
    TypeError, ValueError
        As `rms_norm`, and for shapes that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.rms_norm_backward(np.array([[1.0, 1.0]]), np.array([[1.0, 7.0]]), 2, eps=0.0)
    (array([[ 0.168, -0.024]]), array([0.2, 1.4]))
    """
    return _BACKWARD(dy, x, normalized_shape, weight, eps, rstd)


def _gradient_plan(dy: Any, x: Any, normalized_shape: Any, weight: Any, eps: Any, rstd: Any) -> Plan:
    op = "rms_norm_backward"
    g, x, weight, eps = checks.rms_norm(op, x, normalized_shape, weight, eps)
    lead = x.ndim - axes_of(normalized_shape)
    dy = checks.operand(op, "dy", dy, x.dtype, x.shape)
    rstd = checks.statistic(op, "rstd", rstd, x.dtype, x.shape[:lead])
    return Plan(_gradients, (g, lead, dy, x, weight, eps, rstd))


def _gradients(
    g: Norm, lead: int, dy: Array, x: Array, weight: Array | None, eps: float, rstd: Array | None
) -> tuple[Array, Array]:
    ops = backend.current()
    rstd = ops.rms_norm_forward(g, x, None, eps)[1] if rstd is None else rstd.reshape(-1)
    return in_shape(ops.rms_norm_backward(g, dy, x, weight, rstd, ALL[:2]), x.shape[lead:])


_BACKWARD = operation("rms_norm_backward", _gradient_plan)
