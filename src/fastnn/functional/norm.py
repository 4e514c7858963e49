"""Batch, layer, instance and group normalisation (SPEC B)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, Tape, planned, register
from ..checks import GroupNorm, Norm
from ._gradients import register_gradient
from ._tangents import of_affine, total

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_relu",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
]

Array = np.ndarray[Any, Any]
Gradients = tuple[Array, Array, Array]

_ALL = (True, True, True)
_X = (True, False, False)


def _column(v: Array | None, x: Array) -> Any:
    """One value per channel, to broadcast with x (n, c, ...)."""
    return None if v is None else v.reshape(-1, *(1,) * (x.ndim - 2))


def _spread(tangents: Any, x: Array) -> Any:
    """Tangents of x, weight and bias, the latter to broadcast with x."""
    return tangents[0], _column(tangents[1], x), _column(tangents[2], x)


def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.99,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel over the batch and space: ``(x - mean) / sqrt(var + eps) * weight + bias`` (SPEC B1, B2).

    In training mean and var are those of ``x``, var without Bessel's correction, and the running statistics
    change in place: ``running = momentum * running + (1 - momentum) * batch``, with the unbiased variance.
    In evaluation the running statistics are used.

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

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x``, ``weight`` or ``bias`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, a mixture, or running statistics that are no arrays.
    ValueError
        For shapes that don't fit, fewer than two values per channel in training (SPEC B3), or running
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
    return planned["batch_norm"](x, running_mean, running_var, weight, bias, training, momentum, eps)


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
) -> Any:
    """``relu(batch_norm(x, …) + residual)`` in one pass over memory; the results are the same to the bit.

    Parameters
    ----------
    x, running_mean, running_var, weight, bias, training, momentum, eps
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
    return planned["batch_norm_relu"](x, running_mean, running_var, weight, bias, residual, training, momentum, eps)


def _norm(
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
) -> Any:
    relu = op == "batch_norm_relu"
    g, x_, rmean, rvar, w_, b_, training, momentum, eps, r_ = checks.batch_norm(
        op, raw(x), raw(running_mean), raw(running_var), raw(weight), raw(bias), training, momentum, eps, raw(residual)
    )
    ops = backend.current()
    if training:
        y, mean, rstd = ops.batch_norm_train_forward(g, x_, w_, b_, rmean, rvar, momentum, eps, r_, relu)
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

        def xhat() -> Array:
            scale = rstd if training else 1 / np.sqrt(var + x_.dtype.type(eps))
            return np.asarray((x_ - _column(mean, x_)) * _column(scale, x_))

        *of_norm, tr = (*tangents, None)[:4]
        moved = None if _none(of_norm) else of_affine(_spread(of_norm, x_), normalised, xhat, _column(w_, x_))
        moved = np.broadcast_to(total(moved, tr), y.shape)
        return ops.relu_backward(np.ascontiguousarray(moved), y) if relu else moved

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
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    training: Any,
    momentum: Any,
    eps: Any,
) -> Plan:
    relu = op == "batch_norm_relu"
    g, x, mean, var, weight, bias, training, momentum, eps, residual = checks.batch_norm(
        op, x, running_mean, running_var, weight, bias, training, momentum, eps, residual
    )
    if training:
        # Behind these ten come y, mean and rstd.
        arguments = g, x, weight, bias, mean, var, momentum, eps, residual, relu
        tape = Tape(_vjp, (0, 1, 2, 11, 12))
        if relu:
            tape = Tape(_relu_vjp, (0, 1, 2, 3, 11, 12, 8 if residual is None else 10))
        return Plan("batch_norm_train_forward", arguments, first=True, tape=tape)
    return Plan("batch_norm_eval_forward", (g, x, mean, var, weight, bias, eps, residual, relu))


def _without_residual(function: Any) -> Any:
    """The same for `batch_norm`, which takes no residual."""

    def called(x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: Any, momentum: Any, eps: Any) -> Any:
        return function("batch_norm", x, mean, var, weight, bias, None, training, momentum, eps)

    return called


register("batch_norm", _without_residual(_norm), *(_without_residual(_plan),) * 2, inputs=(0, 3, 4))
_relu = "batch_norm_relu"
register(_relu, partial(_norm, _relu), *(partial(_plan, _relu),) * 2, inputs=(0, 3, 4, 5))


def batch_norm_backward(
    dy: Any, x: Any, weight: Any = None, eps: float = 1e-5, mean: Any = None, rstd: Any = None
) -> Gradients:
    """Gradients of `batch_norm` in training (SPEC B1).

    Parameters
    ----------
    dy : array_like, shape (n, c, ...)
        The gradient of the output.
    x, weight, eps
        What `batch_norm` got.
    mean, rstd : array_like, shape (c,), optional
        Mean and ``1 / sqrt(var + eps)`` of ``x``, both or neither; computed again where missing.

    Returns
    -------
    dx, dweight, dbias : ndarray
        Of the shape of ``x``, and twice ``(c,)``.

    Raises
    ------
    TypeError, ValueError
        As `batch_norm`, and for shapes that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> dx, dweight, dbias = F.batch_norm_backward(np.array([[1.0], [3.0]]), np.array([[-1.0], [1.0]]), eps=0.0)
    >>> dx, dweight, dbias
    (array([[0.],
           [0.]]), array([2.]), array([4.]))
    """
    return planned["batch_norm_backward"](dy, x, weight, eps, mean, rstd)  # type: ignore[no-any-return]


def _checked_batch(dy: Any, x: Any, weight: Any, eps: Any, mean: Any, rstd: Any) -> tuple[Any, ...]:
    op = "batch_norm_backward"
    g, x, weight, eps = checks.batch_norm_backward(op, x, weight, eps)
    return g, x, weight, eps, *checks.norm_backward(op, dy, x, mean, rstd, (g.channels,))


def _batch_gradients(
    g: Norm, x: Array, weight: Array | None, eps: float, dy: Array, mean: Array | None, rstd: Array | None
) -> Gradients:
    ops = backend.current()
    if mean is None:
        _, mean, rstd = ops.batch_norm_train_forward(g, x, None, None, None, None, 0.0, eps)
    return ops.batch_norm_backward(g, dy, x, weight, mean, rstd, _ALL)  # type: ignore[no-any-return]


register_gradient("batch_norm_backward", _checked_batch, _batch_gradients)


def layer_norm(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each sample over its last axes: ``(x - mean) / sqrt(var + eps) * weight + bias`` (SPEC B4).

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
    return planned["layer_norm"](x, normalized_shape, weight, bias, eps)


def _layer_norm(x: Any, normalized_shape: Any, weight: Any, bias: Any, eps: Any) -> Any:
    g, x_, w_, b_, eps = checks.layer_norm("layer_norm", raw(x), normalized_shape, raw(weight), raw(bias), eps)
    ops = backend.current()
    y, mean, rstd = ops.layer_norm_forward(g, x_, w_, b_, eps)
    shape = x_.shape[x_.ndim - _axes(normalized_shape) :]

    def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
        dx, dweight, dbias = ops.layer_norm_backward(g, dy, x_, w_, mean, rstd, needs)
        return dx, *(None if d is None else d.reshape(shape) for d in (dweight, dbias))

    def jvp(tangents: Any) -> Any:
        def normalised(t: Array) -> Any:
            return ops.layer_norm_backward(g, t, x_, None, mean, rstd, _X)[0]

        def xhat() -> Any:
            return ops.layer_norm_forward(g, x_, None, None, eps)[0]

        w = None if w_ is None else w_.reshape(shape)
        return np.broadcast_to(of_affine(tangents, normalised, xhat, w), y.shape)

    return record("layer_norm", y, (x, weight, bias), vjp, jvp)


def _layer_norm_plan(*arguments: Any) -> Plan:
    return Plan("layer_norm_forward", checks.layer_norm("layer_norm", *arguments), first=True)


register("layer_norm", _layer_norm, _layer_norm_plan)


def _axes(normalized_shape: Any) -> int:
    return len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1


def layer_norm_backward(
    dy: Any,
    x: Any,
    normalized_shape: Any,
    weight: Any = None,
    eps: float = 1e-5,
    mean: Any = None,
    rstd: Any = None,
) -> Gradients:
    """Gradients of `layer_norm` (SPEC B4).

    Parameters
    ----------
    dy : array_like
        The gradient of the output, of the shape of ``x``.
    x, normalized_shape, weight, eps
        What `layer_norm` got.
    mean, rstd : array_like, optional
        Mean and ``1 / sqrt(var + eps)``, of the shape of ``x`` without its normalized axes, both or neither;
        computed again where missing.

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
    return planned["layer_norm_backward"](  # type: ignore[no-any-return]
        dy, x, normalized_shape, weight, eps, mean, rstd
    )


def _checked_layer(
    dy: Any, x: Any, normalized_shape: Any, weight: Any, eps: Any, mean: Any, rstd: Any
) -> tuple[Any, ...]:
    op = "layer_norm_backward"
    g, x, weight, _, eps = checks.layer_norm(op, x, normalized_shape, weight, None, eps)
    lead = x.ndim - _axes(normalized_shape)
    return g, lead, x, weight, eps, *checks.norm_backward(op, dy, x, mean, rstd, x.shape[:lead])


def _layer_gradients(
    g: Norm, lead: int, x: Array, weight: Array | None, eps: float, dy: Array, mean: Array | None, rstd: Array | None
) -> Gradients:
    ops = backend.current()
    if mean is None or rstd is None:
        _, mean, rstd = ops.layer_norm_forward(g, x, None, None, eps)
    dx, dweight, dbias = ops.layer_norm_backward(g, dy, x, weight, mean.reshape(-1), rstd.reshape(-1), _ALL)
    return dx, dweight.reshape(x.shape[lead:]), dbias.reshape(x.shape[lead:])


register_gradient("layer_norm_backward", _checked_layer, _layer_gradients)


def _group_norm(x: Any, num_groups: Any, weight: Any, bias: Any, eps: Any) -> Any:
    return _grouped("group_norm", x, checks.integer("group_norm", "num_groups", num_groups), weight, bias, eps)


def _instance_norm(x: Any, *arguments: Any) -> Any:
    return _grouped("instance_norm", x, None, *arguments)


def _grouped(op: str, x: Any, num_groups: int | None, weight: Any, bias: Any, eps: Any) -> Any:
    g, x_, w_, b_, eps = checks.group_norm(op, raw(x), num_groups, raw(weight), raw(bias), eps)
    ops = backend.current()
    y, mean, rstd = ops.group_norm_forward(g, x_, w_, b_, eps)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
        return ops.group_norm_backward(g, dy, x_, w_, mean, rstd, needs)

    def jvp(tangents: Any) -> Any:
        def normalised(t: Array) -> Any:
            return ops.group_norm_backward(g, t, x_, None, mean, rstd, _X)[0]

        def xhat() -> Any:
            return ops.group_norm_forward(g, x_, None, None, eps)[0]

        return np.broadcast_to(of_affine(_spread(tangents, x_), normalised, xhat, _column(w_, x_)), y.shape)

    return record(op, y, (x, weight, bias), vjp, jvp)


def _group_norm_plan(x: Any, num_groups: Any, *arguments: Any) -> Plan:
    groups = checks.integer("group_norm", "num_groups", num_groups)
    return Plan("group_norm_forward", checks.group_norm("group_norm", x, groups, *arguments), first=True)


def _instance_norm_plan(x: Any, *arguments: Any) -> Plan:
    return Plan("group_norm_forward", checks.group_norm("instance_norm", x, None, *arguments), first=True)


register("group_norm", _group_norm, _group_norm_plan)
register("instance_norm", _instance_norm, _instance_norm_plan)


def _checked_groups(
    op: str, dy: Any, x: Any, num_groups: int | None, weight: Any, eps: Any, mean: Any, rstd: Any
) -> tuple[Any, ...]:
    g, x, weight, _, eps = checks.group_norm(op, x, num_groups, weight, None, eps)
    return g, x, weight, eps, *checks.norm_backward(op, dy, x, mean, rstd, (g.n, g.groups))


def _checked_group_norm(dy: Any, x: Any, num_groups: Any, *arguments: Any) -> tuple[Any, ...]:
    op = "group_norm_backward"
    return _checked_groups(op, dy, x, checks.integer(op, "num_groups", num_groups), *arguments)


def _checked_instance_norm(dy: Any, x: Any, *arguments: Any) -> tuple[Any, ...]:
    return _checked_groups("instance_norm_backward", dy, x, None, *arguments)


def _group_gradients(
    g: GroupNorm, x: Array, weight: Array | None, eps: float, dy: Array, mean: Array | None, rstd: Array | None
) -> Gradients:
    ops = backend.current()
    if mean is None:
        _, mean, rstd = ops.group_norm_forward(g, x, None, None, eps)
    return ops.group_norm_backward(g, dy, x, weight, mean, rstd, _ALL)  # type: ignore[no-any-return]


register_gradient("group_norm_backward", _checked_group_norm, _group_gradients)
register_gradient("instance_norm_backward", _checked_instance_norm, _group_gradients)


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each sample over groups of channels and space (SPEC B6).

    Parameters
    ----------
    x : array_like or Tensor, shape (n, c, ...)
        The input, float32 or float64.
    num_groups : int
        Number of groups, a divisor of ``c``; each takes ``c // num_groups`` neighbouring channels.
    weight, bias : array_like or Tensor, shape (c,), optional
        Scale and shift.
    eps : float
        Added to the (biased) variance.

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
    >>> F.group_norm(np.array([[1.0, 3.0, 5.0, -5.0]]), 2, eps=0.0)
    array([[-1.,  1.,  1., -1.]])
    """
    return planned["group_norm"](x, num_groups, weight, bias, eps)


def group_norm_backward(
    dy: Any, x: Any, num_groups: int, weight: Any = None, eps: float = 1e-5, mean: Any = None, rstd: Any = None
) -> Gradients:
    """Gradients of `group_norm` (SPEC B6).

    Parameters
    ----------
    dy : array_like, shape (n, c, ...)
        The gradient of the output.
    x, num_groups, weight, eps
        What `group_norm` got.
    mean, rstd : array_like, shape (n, num_groups), optional
        Mean and ``1 / sqrt(var + eps)``, both or neither; computed again where missing.

    Returns
    -------
    dx, dweight, dbias : ndarray
        Of the shape of ``x``, and twice ``(c,)``.

    Raises
    ------
    TypeError, ValueError
        As `group_norm`, and for shapes that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.group_norm_backward(np.array([[1.0, 3.0]]), np.array([[-1.0, 1.0]]), 1, eps=0.0)
    (array([[0., 0.]]), array([-1.,  3.]), array([1., 3.]))
    """
    return planned["group_norm_backward"](dy, x, num_groups, weight, eps, mean, rstd)  # type: ignore[no-any-return]


def instance_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each sample and channel over space, in training and evaluation alike (SPEC B5).

    Parameters
    ----------
    x : array_like or Tensor, shape (n, c, ...)
        The input, float32 or float64, with more than one spatial element.
    weight, bias : array_like or Tensor, shape (c,), optional
        Scale and shift.
    eps : float
        Added to the (biased) variance.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x``, ``weight`` or ``bias`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit, or one spatial element only.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.instance_norm(np.array([[[1.0, 3.0], [5.0, -5.0]]]), eps=0.0)
    array([[[-1.,  1.],
            [ 1., -1.]]])
    """
    return planned["instance_norm"](x, weight, bias, eps)


def instance_norm_backward(
    dy: Any, x: Any, weight: Any = None, eps: float = 1e-5, mean: Any = None, rstd: Any = None
) -> Gradients:
    """Gradients of `instance_norm`, as `group_norm_backward` with c groups (SPEC B5).

    Parameters
    ----------
    dy : array_like, shape (n, c, ...)
        The gradient of the output.
    x, weight, eps
        What `instance_norm` got.
    mean, rstd : array_like, shape (n, c), optional
        Mean and ``1 / sqrt(var + eps)``, both or neither; computed again where missing.

    Returns
    -------
    dx, dweight, dbias : ndarray
        Of the shape of ``x``, and twice ``(c,)``.

    Raises
    ------
    TypeError, ValueError
        As `instance_norm`, and for shapes that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.instance_norm_backward(np.array([[[1.0, 3.0]]]), np.array([[[-1.0, 1.0]]]), eps=0.0)
    (array([[[0., 0.]]]), array([2.]), array([4.]))
    """
    return planned["instance_norm_backward"](dy, x, weight, eps, mean, rstd)  # type: ignore[no-any-return]
