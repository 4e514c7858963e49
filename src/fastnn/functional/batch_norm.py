"""Batch normalisation, by itself and with what follows it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array, Constant, Value
from ..checks import ALL, Norm
from . import _docs
from ._gradients import AllGradients
from ._op import Plan, Tape, operation
from ._tangents import OF_X, of_affine, over_channels, per_channel, total

__all__ = ["batch_norm", "batch_norm_backward", "batch_norm_relu", "batch_norm_relu_backward"]


def batch_norm(
    x: Value,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Value | None = None,
    bias: Value | None = None,
    training: bool = False,
    momentum: float = 0.99,
    eps: float = 1e-5,
    unbiased: bool = True,
) -> Value:
    """Normalise each channel over the batch and space: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    In training mean and var are those of ``x``, var without Bessel's correction, and the running statistics
    change in place: ``running = momentum * running + (1 - momentum) * batch``, with the unbiased variance,
    or with the one that the norm divides by where ``unbiased=False``. In evaluation the running statistics are used.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, c, ...)
        The input, float32 or float64.
    running_mean, running_var : ndarray, shape (c,), or None
        Running statistics of the dtype of ``x``, both or neither; needed in evaluation, and in training
        C-contiguous and writeable.
    weight, bias : array_like or Tensor, shape (c,), optional
        Scale and shift.
    training : bool
        Whether to use and track the statistics of ``x``.
    momentum : float
        Share of the old running statistics that is kept, in [0, 1], as in Keras, Flax and ONNX. PyTorch's
        ``momentum`` is one minus this.
    eps : float
        Added to the variance.
    unbiased : bool
        Whether the running variance takes the unbiased variance of ``x``, as in PyTorch; if not, the one that the norm
        divides by, as in Keras and ONNX.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x``, ``weight`` or ``bias`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, a mixture, or running statistics that are no arrays.
    ValueError
        For shapes that don't fit, fewer than two values per channel in training, or running
        statistics that cannot be updated in place; nothing has changed then.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> F.batch_norm(np.array([[1.0], [3.0]]), mean, var, training=True, momentum=0.75, eps=0.0)
    array([[-1.],
           [ 1.]])
    >>> mean, var
    (array([0.5]), array([1.25]))
    """
    return _BATCH_NORM(x, running_mean, running_var, weight, bias, training, momentum, eps, unbiased)


def batch_norm_relu(
    x: Value,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Value | None = None,
    bias: Value | None = None,
    residual: Value | None = None,
    training: bool = False,
    momentum: float = 0.99,
    eps: float = 1e-5,
    unbiased: bool = True,
) -> Value:
    """``relu(batch_norm(x, …) + residual)`` in one pass over memory; the results are the same to the bit.

    Parameters
    ----------
    x, running_mean, running_var, weight, bias, training, momentum, eps, unbiased
        As of `batch_norm`.
    residual : array_like or Tensor, optional
        Of the shape and dtype of ``x``; added to the norm.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x``, ``weight``, ``bias`` or ``residual`` is one.

    Raises
    ------
    TypeError, ValueError
        As `batch_norm`, and for a residual of another shape or dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x = np.array([[1.0], [3.0]])
    >>> F.batch_norm_relu(x, None, None, residual=np.ones((2, 1)), training=True, eps=0.0)
    array([[0.],
           [2.]])
    """
    return _BATCH_NORM_RELU(x, running_mean, running_var, weight, bias, residual, training, momentum, eps, unbiased)


def _plan(x: Any, mean: Any, var: Any, weight: Any, bias: Any, *options: Any, taped: bool = False) -> Plan:
    return channel_norm_plan("batch_norm", x, mean, var, weight, bias, None, *options, taped=taped)


def channel_norm_plan(
    op: str,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    training: Any,
    momentum: Any,
    eps: Any,
    unbiased: Any,
    *,
    taped: bool = False,
) -> Plan:
    """The plan of ``op``: ``batch_norm``, ``batch_norm_relu``, or ``instance_norm`` with running statistics."""
    relu = op == "batch_norm_relu"
    g, x, mean, var, weight, bias, training, momentum, eps, unbiased, residual = checks.batch_norm(
        op, x, running_mean, running_var, weight, bias, training, momentum, eps, unbiased, residual
    )
    if not training:
        if taped:  # copies, since a later training step may change the running statistics before the backward
            mean, var = np.array(mean), np.array(var)
        tape = Tape(_eval_relu_vjp if relu else _eval_vjp, _eval_jvp)
        return Plan("batch_norm_eval_forward", (g, x, mean, var, weight, bias, eps, residual, relu), tape=tape)
    arguments = g, x, weight, bias, mean, var, momentum, eps, residual, relu, unbiased, taped
    vjp = _vjp if not relu else _relu_vjp if residual is None else _residual_vjp
    if not taped:  # nobody asks for mean and rstd, so the backend makes no arrays for them
        return Plan("batch_norm_train_forward", arguments)
    return Plan("batch_norm_train_forward", arguments, ("y", "mean", "rstd"), tape=Tape(vjp, _jvp))


def _vjp(
    ops: Any, dy: Array, needs: tuple[bool, ...], g: Norm, x: Array, weight: Array | None, mean: Array, rstd: Array
) -> Any:
    return ops.batch_norm_backward(g, dy, x, weight, mean, rstd, needs)


def _relu_vjp(
    ops: Any,
    dy: Array,
    needs: tuple[bool, ...],
    g: Norm,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    rstd: Array,
) -> Any:
    return ops.batch_norm_relu_backward(g, dy, x, None, weight, bias, mean, rstd, needs)


def _residual_vjp(
    ops: Any, dy: Array, needs: tuple[bool, ...], g: Norm, x: Array, y: Array, weight: Any, mean: Array, rstd: Array
) -> Any:
    return ops.batch_norm_relu_backward(g, dy, x, y, weight, None, mean, rstd, needs)


def _eval_vjp(
    ops: Any, dy: Array, needs: tuple[bool, ...], g: Norm, x: Array, weight: Any, mean: Array, var: Array, eps: float
) -> Any:
    return ops.batch_norm_eval_backward(g, dy, x, weight, mean, var, eps, needs[:3])


def _eval_relu_vjp(
    ops: Any,
    dy: Array,
    needs: tuple[bool, ...],
    g: Norm,
    x: Array,
    weight: Any,
    mean: Array,
    var: Array,
    eps: float,
    y: Array,
) -> Any:
    dz = ops.relu_backward(dy, y)
    return *_eval_vjp(ops, dz, needs, g, x, weight, mean, var, eps), dz


def _jvp(
    ops: Any,
    tangents: Any,
    g: Norm,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    eps: float,
    relu: bool,
    y: Array,
) -> Any:
    def normalised(t: Array) -> Any:
        return ops.batch_norm_backward(g, t, x, None, mean, rstd, OF_X)[0]

    def xhat() -> Any:
        return ops.batch_norm_train_forward(g, x, None, None, None, None, 0.0, eps)[0]

    return _moved(ops, tangents, normalised, xhat, x, weight, relu, y)


def _eval_jvp(
    ops: Any,
    tangents: Any,
    g: Norm,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    eps: float,
    relu: bool,
    y: Array,
) -> Any:
    def normalised(t: Array) -> Any:
        return ops.batch_norm_eval_backward(g, t, x, None, mean, var, eps, OF_X)[0]

    def xhat() -> Any:
        return ops.batch_norm_eval_forward(g, x, mean, var, None, None, eps)

    return _moved(ops, tangents, normalised, xhat, x, weight, relu, y)


def _moved(
    ops: Any, tangents: Any, normalised: Any, xhat: Any, x: Array, weight: Array | None, relu: bool, y: Array
) -> Any:
    """The tangent of the output: of the norm, to which a residual may be added and ReLU applied."""
    *of_norm, tr = (*tangents, None)[:4]
    moved = None
    if any(t is not None for t in of_norm):
        moved = of_affine(over_channels(of_norm, x), normalised, xhat, per_channel(weight, x))
    moved = np.broadcast_to(total(moved, tr), y.shape)
    return ops.relu_backward(checks.in_c_order(moved), y) if relu else moved


_BATCH_NORM = operation("batch_norm", _plan, ("x", "weight", "bias"))
_BATCH_NORM_RELU = operation(
    "batch_norm_relu", partial(channel_norm_plan, "batch_norm_relu"), ("x", "weight", "bias", "residual")
)


_BACKWARD = """
Parameters
----------
dy : array_like, shape (n, c, ...)
    The gradient of the output.
x, weight
    What `{op}` got.
{y}eps
    What `{op}` got.
mean, rstd : array_like, shape (c,), optional
    Mean and ``1 / sqrt(var + eps)`` of ``x``, both or neither, in float64 or the dtype of ``x``; computed again where
    missing. Not in evaluation.
running_mean, running_var : array_like, shape (c,), optional
    What `{op}` got. Needed in evaluation; in training the output does not depend on them.
training : bool, optional
    Whether `{op}` used the statistics of ``x``. True by default where no running statistics are given; with them it
    must be said, since `{op}` itself is in evaluation by default.

Returns
-------
{returns}

Raises
------
TypeError, ValueError
    As `{op}`, for shapes that don't fit, and for running statistics without ``training``.
"""


@_docs.sections(_BACKWARD, y="", returns="dx, dweight, dbias : ndarray\n    Of the shape of ``x``, and twice ``(c,)``.")
def batch_norm_backward(
    dy: Constant,
    x: Constant,
    weight: Constant | None = None,
    eps: float = 1e-5,
    mean: Constant | None = None,
    rstd: Constant | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    training: bool | None = None,
) -> AllGradients:
    """Gradients of `batch_norm`, of training where no running statistics are given.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> dx, dweight, dbias = F.batch_norm_backward(np.array([[1.0], [3.0]]), np.array([[-1.0], [1.0]]), eps=0.0)
    >>> dx, dweight, dbias
    (array([[0.],
           [0.]]), array([2.]), array([4.]))
    """
    return _BATCH_NORM_BACKWARD(dy, x, weight, eps, mean, rstd, running_mean, running_var, training)


def batch_gradients(
    g: Norm,
    x: Array,
    weight: Array | None,
    eps: float,
    dy: Array,
    mean: Array | None,
    rstd: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
) -> AllGradients:
    """The gradients of x, weight and bias, from what `fastnn.checks.batch_norm_backward` gives."""
    ops = backend.current()
    if running_mean is not None:
        return ops.batch_norm_eval_backward(g, dy, x, weight, running_mean, running_var, eps, ALL)
    if mean is None:
        mean, rstd = _statistics(ops, g, x, eps)
    return ops.batch_norm_backward(g, dy, x, weight, mean, rstd, ALL)


def _statistics(ops: Any, g: Norm, x: Array, eps: float) -> tuple[Array, Array]:
    _, mean, rstd = ops.batch_norm_train_forward(g, x, None, None, None, None, 0.0, eps)
    return mean, rstd


def _gradient_plan(*arguments: Any) -> Plan:
    return Plan(batch_gradients, checks.batch_norm_backward("batch_norm_backward", *arguments))


_BATCH_NORM_BACKWARD = operation("batch_norm_backward", _gradient_plan)


@_docs.sections(
    _BACKWARD,
    y="y : array_like\n    The output, which says where ReLU let the sum through.\n",
    returns="dx, dweight, dbias, dresidual : ndarray\n    Of the shapes of ``x``, ``(c,)``, ``(c,)`` and ``x``.",
)
def batch_norm_relu_backward(
    dy: Constant,
    x: Constant,
    y: Constant,
    weight: Constant | None = None,
    eps: float = 1e-5,
    mean: Constant | None = None,
    rstd: Constant | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    training: bool | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Gradients of `batch_norm_relu`: those of the norm for ``dresidual``, ``dy`` where ``y > 0``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, residual = np.array([[1.0], [3.0]]), np.array([[0.5], [0.5]])
    >>> y = F.batch_norm_relu(x, None, None, residual=residual, training=True, eps=0.0)
    >>> dx, dweight, dbias, dresidual = F.batch_norm_relu_backward(np.ones((2, 1)), x, y, eps=0.0)
    >>> dweight, dbias, dresidual
    (array([1.]), array([1.]), array([[0.],
           [1.]]))
    """
    return _BATCH_NORM_RELU_BACKWARD(dy, x, y, weight, eps, mean, rstd, running_mean, running_var, training)


def _relu_gradient_plan(dy: Any, x: Any, y: Any, *arguments: Any) -> Plan:
    op = "batch_norm_relu_backward"
    clean = checks.batch_norm_backward(op, dy, x, *arguments)
    return Plan(_relu_gradients, (checks.operand(op, "y", y, clean[1].dtype, clean[1].shape), *clean))


def _relu_gradients(
    y: Array, g: Norm, x: Array, weight: Array | None, eps: float, dy: Array, mean: Any, rstd: Any, *running: Any
) -> Any:
    ops = backend.current()
    if running[0] is not None:
        dz = ops.relu_backward(dy, y)
        return *ops.batch_norm_eval_backward(g, dz, x, weight, *running, eps, ALL), dz
    if mean is None:
        mean, rstd = _statistics(ops, g, x, eps)
    return ops.batch_norm_relu_backward(g, dy, x, y, weight, None, mean, rstd, (*ALL, True))


_BATCH_NORM_RELU_BACKWARD = operation("batch_norm_relu_backward", _relu_gradient_plan)
