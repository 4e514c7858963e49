"""Batch normalisation, by itself and with what follows it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import _docs, backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, Tape, planned, register
from ..checks import Norm
from ._gradients import register_gradient
from ._tangents import of_affine, over_channels, per_channel, total

__all__ = ["batch_norm", "batch_norm_backward", "batch_norm_relu", "batch_norm_relu_backward"]

Array = np.ndarray[Any, Any]
Gradients = tuple[Array, Array, Array]

_ALL = (True, True, True)
_X = (True, False, False)


def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.99,
    eps: float = 1e-5,
    unbiased: bool = True,
) -> Any:
    """Normalise each channel over the batch and space: ``(x - mean) / sqrt(var + eps) * weight + bias`` (B2).

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
    return planned["batch_norm"](x, running_mean, running_var, weight, bias, training, momentum, eps, unbiased)


def batch_norm_relu(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    residual: Any = None,
    training: bool = False,
    momentum: float = 0.99,
    eps: float = 1e-5,
    unbiased: bool = True,
) -> Any:
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
    return planned["batch_norm_relu"](
        x, running_mean, running_var, weight, bias, residual, training, momentum, eps, unbiased
    )


def channel_norm(
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
) -> Any:
    """``batch_norm``, ``batch_norm_relu``, and ``instance_norm`` with given statistics, by the name ``op``."""
    relu = op == "batch_norm_relu"
    g, x_, rmean, rvar, w_, b_, training, momentum, eps, unbiased, r_ = checks.batch_norm(
        op, raw(x), running_mean, running_var, raw(weight), raw(bias), training, momentum, eps, unbiased, raw(residual)
    )
    ops = backend.current()
    if training:
        y, mean, rstd = ops.batch_norm_train_forward(g, x_, w_, b_, rmean, rvar, momentum, eps, r_, relu, unbiased)
        kept = None if r_ is None else y

        def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
            if relu:
                return _relu_vjp(ops, dy, needs, g, x_, w_, b_, mean, rstd, kept)
            return _vjp(ops, dy, needs, g, x_, w_, mean, rstd)

    else:
        # Copies, since a later training step may change the running statistics before the backward.
        mean, var = np.array(rmean), np.array(rvar)
        y = ops.batch_norm_eval_forward(g, x_, mean, var, w_, b_, eps, r_, relu)
        kept = y if relu else None

        def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
            dz = ops.relu_backward(dy, kept) if relu else dy
            gradients = ops.batch_norm_eval_backward(g, dz, x_, w_, mean, var, eps, needs[:3])
            return (*gradients, dz) if relu else gradients

    def jvp(tangents: Any) -> Any:
        def normalised(t: Array) -> Any:
            if training:
                return ops.batch_norm_backward(g, t, x_, None, mean, rstd, _X)[0]
            return ops.batch_norm_eval_backward(g, t, x_, None, mean, var, eps, _X)[0]

        def xhat() -> Any:
            if training:
                return ops.batch_norm_train_forward(g, x_, None, None, None, None, 0.0, eps)[0]
            return ops.batch_norm_eval_forward(g, x_, mean, var, None, None, eps)

        *of_norm, tr = (*tangents, None)[:4]
        moved = None if _none(of_norm) else of_affine(over_channels(of_norm, x_), normalised, xhat, per_channel(w_, x_))
        moved = np.broadcast_to(total(moved, tr), y.shape)
        return ops.relu_backward(checks.in_c_order(moved), y) if relu else moved

    return record(op, y, (x, weight, bias, residual) if relu else (x, weight, bias), vjp, jvp)


def _none(tangents: Any) -> bool:
    return all(t is None for t in tangents)


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
    y: Array | None,
) -> Any:
    return ops.batch_norm_relu_backward(g, dy, x, y, weight, bias, mean, rstd, needs)


def _plan(
    op: str,
    taped: bool,
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
) -> Plan:
    relu = op == "batch_norm_relu"
    g, x, mean, var, weight, bias, training, momentum, eps, unbiased, residual = checks.batch_norm(
        op, x, running_mean, running_var, weight, bias, training, momentum, eps, unbiased, residual
    )
    if training:
        arguments = g, x, weight, bias, mean, var, momentum, eps, residual, relu, unbiased, taped
        if not taped:
            return Plan("batch_norm_train_forward", arguments)
        # Behind these twelve come y, mean and rstd.
        tape = Tape(_vjp, (0, 1, 2, 13, 14))
        if relu:
            tape = Tape(_relu_vjp, (0, 1, 2, 3, 13, 14, 8 if residual is None else 12))
        return Plan("batch_norm_train_forward", arguments, first=True, tape=tape)
    return Plan("batch_norm_eval_forward", (g, x, mean, var, weight, bias, eps, residual, relu))


def _without_residual(function: Any, *leading: Any) -> Any:
    """The same for `batch_norm`, which takes no residual."""

    def called(x: Any, mean: Any, var: Any, weight: Any, bias: Any, *options: Any) -> Any:
        return function(*leading, x, mean, var, weight, bias, None, *options)

    return called


def _register(op: str, bound: Any, inputs: tuple[int, ...]) -> None:
    """``bound`` gives a function its leading arguments."""
    register(op, bound(channel_norm, op), bound(_plan, op, False), bound(_plan, op, True), inputs=inputs)


_register("batch_norm", _without_residual, (0, 3, 4))
_register("batch_norm_relu", partial, (0, 3, 4, 5))


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
    dy: Any,
    x: Any,
    weight: Any = None,
    eps: float = 1e-5,
    mean: Any = None,
    rstd: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    training: bool | None = None,
) -> Gradients:
    """Gradients of `batch_norm`, of training where no running statistics are given (B2).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> dx, dweight, dbias = F.batch_norm_backward(np.array([[1.0], [3.0]]), np.array([[-1.0], [1.0]]), eps=0.0)
    >>> dx, dweight, dbias
    (array([[0.],
           [0.]]), array([2.]), array([4.]))
    """
    return planned["batch_norm_backward"](  # type: ignore[no-any-return]
        dy, x, weight, eps, mean, rstd, running_mean, running_var, training
    )


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
) -> Gradients:
    """What `fastnn.checks.batch_norm_backward` gives, made gradients of x, weight and bias."""
    ops = backend.current()
    if running_mean is not None:
        return ops.batch_norm_eval_backward(g, dy, x, weight, running_mean, running_var, eps, _ALL)  # type: ignore[no-any-return]
    if mean is None:
        mean, rstd = _statistics(ops, g, x, eps)
    return ops.batch_norm_backward(g, dy, x, weight, mean, rstd, _ALL)  # type: ignore[no-any-return]


def _statistics(ops: Any, g: Norm, x: Array, eps: float) -> tuple[Array, Array]:
    _, mean, rstd = ops.batch_norm_train_forward(g, x, None, None, None, None, 0.0, eps)
    return mean, rstd


register_gradient("batch_norm_backward", partial(checks.batch_norm_backward, "batch_norm_backward"), batch_gradients)


@_docs.sections(
    _BACKWARD,
    y="y : array_like\n    The output, which says where ReLU let the sum through.\n",
    returns="dx, dweight, dbias, dresidual : ndarray\n    Of the shapes of ``x``, ``(c,)``, ``(c,)`` and ``x``.",
)
def batch_norm_relu_backward(
    dy: Any,
    x: Any,
    y: Any,
    weight: Any = None,
    eps: float = 1e-5,
    mean: Any = None,
    rstd: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
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
    return planned["batch_norm_relu_backward"](  # type: ignore[no-any-return]
        dy, x, y, weight, eps, mean, rstd, running_mean, running_var, training
    )


def _checked_relu(dy: Any, x: Any, y: Any, *arguments: Any) -> tuple[Any, ...]:
    op = "batch_norm_relu_backward"
    clean = checks.batch_norm_backward(op, dy, x, *arguments)
    return checks.operand(op, "y", y, clean[1].dtype, clean[1].shape), *clean


def _relu_gradients(
    y: Array, g: Norm, x: Array, weight: Array | None, eps: float, dy: Array, mean: Any, rstd: Any, *running: Any
) -> Any:
    ops = backend.current()
    if running[0] is not None:
        dz = ops.relu_backward(dy, y)
        return *ops.batch_norm_eval_backward(g, dz, x, weight, *running, eps, _ALL), dz
    if mean is None:
        mean, rstd = _statistics(ops, g, x, eps)
    return ops.batch_norm_relu_backward(g, dy, x, y, weight, None, mean, rstd, (*_ALL, True))


register_gradient("batch_norm_relu_backward", _checked_relu, _relu_gradients)
