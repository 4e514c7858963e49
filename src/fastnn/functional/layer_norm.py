"""Layer normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array, Constant, Ints, Value
from ..checks import ALL, Norm
from ._gradients import AllGradients
from ._op import Plan, Tape, operation
from ._tangents import OF_X, axes_of, in_shape, of_affine

__all__ = ["layer_norm", "layer_norm_backward"]


def layer_norm(
    x: Value, normalized_shape: Ints, weight: Value | None = None, bias: Value | None = None, eps: float = 1e-5
) -> Value:
    """Normalise each sample over its last axes: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., *normalized_shape)
        The input, float32 or float64.
    normalized_shape : int or tuple of int
        The last axes of ``x``, over which mean and (biased) variance are taken.
    weight, bias : array_like or Tensor, shape normalized_shape, optional
        Scale and shift.
    eps : float
        Added to the variance.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x``, ``weight`` or ``bias`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.layer_norm(np.array([[1.0, 3.0], [5.0, -5.0]]), 2, eps=0.0)
    array([[-1.,  1.],
           [ 1., -1.]])
    """
    return _LAYER_NORM(x, normalized_shape, weight, bias, eps)


def _layer_plan(x: Any, normalized_shape: Any, weight: Any, bias: Any, eps: Any) -> Plan:
    arguments = checks.layer_norm("layer_norm", x, normalized_shape, weight, bias, eps)
    shape = arguments[1].shape[arguments[1].ndim - axes_of(normalized_shape) :]
    tape = Tape("layer_norm_backward" if len(shape) == 1 else _layer_vjp, _layer_jvp)
    return Plan("layer_norm_forward", arguments, ("y", "mean", "rstd"), tape=tape, constants={"shape": shape})


# The gradients where the norm is over several axes: those of weight and bias must get the shape of these axes.
def _layer_vjp(
    ops: Any,
    dy: Array,
    needs: tuple[bool, ...],
    g: Norm,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    shape: tuple[int, ...],
) -> Any:
    return in_shape(ops.layer_norm_backward(g, dy, x, weight, mean, rstd, needs), shape)


def _layer_jvp(
    ops: Any,
    tangents: Any,
    g: Norm,
    x: Array,
    weight: Array | None,
    eps: float,
    mean: Array,
    rstd: Array,
    shape: tuple[int, ...],
) -> Any:
    moved = of_affine(
        tangents,
        lambda t: ops.layer_norm_backward(g, t, x, None, mean, rstd, OF_X)[0],
        lambda: ops.layer_norm_forward(g, x, None, None, eps)[0],
        None if weight is None else weight.reshape(shape),
    )
    return np.broadcast_to(moved, x.shape)


_LAYER_NORM = operation("layer_norm", _layer_plan, ("x", "weight", "bias"))


def layer_norm_backward(
    dy: Constant,
    x: Constant,
    normalized_shape: Ints,
    weight: Constant | None = None,
    eps: float = 1e-5,
    mean: Constant | None = None,
    rstd: Constant | None = None,
) -> AllGradients:
    """Gradients of `layer_norm`.

    Parameters
    ----------
    dy : array_like
        The gradient of the output, of the shape of ``x``.
    x, normalized_shape, weight, eps
        What `layer_norm` got.
    mean, rstd : array_like, optional
        Mean and ``1 / sqrt(var + eps)``, of the shape of ``x`` without its normalized axes, both or neither, in float64
        or the dtype of ``x``; computed again where missing.

    Returns
    -------
    dx, dweight, dbias : ndarray
        Of the shape of ``x``, and twice ``normalized_shape``.

    Raises
    ------
    TypeError, ValueError
        As `layer_norm`, and for shapes that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.layer_norm_backward(np.array([[1.0, 3.0]]), np.array([[-1.0, 1.0]]), 2, eps=0.0)
    (array([[0., 0.]]), array([-1.,  3.]), array([1., 3.]))
    """
    return _LAYER_NORM_BACKWARD(dy, x, normalized_shape, weight, eps, mean, rstd)


def _layer_gradient_plan(dy: Any, x: Any, normalized_shape: Any, weight: Any, eps: Any, mean: Any, rstd: Any) -> Plan:
    op = "layer_norm_backward"
    g, x, weight, _, eps = checks.layer_norm(op, x, normalized_shape, weight, None, eps)
    lead = x.ndim - axes_of(normalized_shape)
    clean = checks.norm_backward(op, dy, x, mean, rstd, x.shape[:lead])
    return Plan(_layer_gradients, (g, lead, x, weight, eps, *clean))


def _layer_gradients(
    g: Norm, lead: int, x: Array, weight: Array | None, eps: float, dy: Array, mean: Array | None, rstd: Array | None
) -> AllGradients:
    ops = backend.current()
    if mean is None or rstd is None:
        _, mean, rstd = ops.layer_norm_forward(g, x, None, None, eps)
    gradients = ops.layer_norm_backward(g, dy, x, weight, mean.reshape(-1), rstd.reshape(-1), ALL)
    return in_shape(gradients, x.shape[lead:])


_LAYER_NORM_BACKWARD = operation("layer_norm_backward", _layer_gradient_plan)
