"""Layer, instance and group normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, planned, register
from ..checks import GroupNorm, InstanceStatistics, Norm
from ._gradients import register_gradient
from ._tangents import of_affine, over_channels, per_channel
from .batch_norm import batch_gradients, channel_norm

__all__ = [
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


def layer_norm(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
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


def _instance_norm(
    x: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: Any,
    momentum: Any,
    unbiased: Any,
) -> Any:
    op = "instance_norm"
    if not checks.flag(op, "use_input_stats", use_input_stats):
        return channel_norm(op, x, running_mean, running_var, weight, bias, None, False, momentum, eps, unbiased)
    running = checks.instance_statistics(
        op, running_mean, running_var, momentum, unbiased, raw(x), raw(weight), raw(bias)
    )
    return _grouped(op, x, None, weight, bias, eps, running)


def _track(ops: Any, g: GroupNorm, x: Array, s: InstanceStatistics) -> None:
    """Take in the mean over the samples of their statistics: to batch norm each instance is a channel."""
    if g.n == 0:
        return
    mean, var = np.tile(s.mean, g.n), np.tile(s.var, g.n)
    channels = Norm(1, g.n * g.groups, g.inner)
    ops.batch_norm_train_forward(channels, x, None, None, mean, var, s.momentum, 1.0, unbiased=s.unbiased)
    for running, of_samples in ((s.mean, mean), (s.var, var)):
        running[...] = of_samples.reshape(g.n, g.groups).mean(0, dtype=np.float64)


def _grouped(
    op: str,
    x: Any,
    num_groups: int | None,
    weight: Any,
    bias: Any,
    eps: Any,
    running: InstanceStatistics | None = None,
) -> Any:
    g, x_, w_, b_, eps = checks.group_norm(op, raw(x), num_groups, raw(weight), raw(bias), eps)
    ops = backend.current()
    y, mean, rstd = ops.group_norm_forward(g, x_, w_, b_, eps)
    if running is not None:
        _track(ops, g, x_, running)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
        return ops.group_norm_backward(g, dy, x_, w_, mean, rstd, needs)

    def jvp(tangents: Any) -> Any:
        def normalised(t: Array) -> Any:
            return ops.group_norm_backward(g, t, x_, None, mean, rstd, _X)[0]

        def xhat() -> Any:
            return ops.group_norm_forward(g, x_, None, None, eps)[0]

        return np.broadcast_to(of_affine(over_channels(tangents, x_), normalised, xhat, per_channel(w_, x_)), y.shape)

    return record(op, y, (x, weight, bias), vjp, jvp)


def _group_norm_plan(x: Any, num_groups: Any, *arguments: Any) -> Plan:
    groups = checks.integer("group_norm", "num_groups", num_groups)
    return Plan("group_norm_forward", checks.group_norm("group_norm", x, groups, *arguments), first=True)


def _instance_norm_plan(
    x: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: Any,
    momentum: Any,
    unbiased: Any,
) -> Plan | None:
    op = "instance_norm"
    if running_mean is not None or running_var is not None or use_input_stats is not True:
        return None
    checks.instance_statistics(op, None, None, momentum, unbiased, x, weight, bias)
    return Plan("group_norm_forward", checks.group_norm(op, x, None, weight, bias, eps), first=True)


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


def _checked_instance_norm(
    dy: Any,
    x: Any,
    weight: Any,
    eps: Any,
    mean: Any,
    rstd: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: Any,
) -> tuple[Any, ...]:
    op = "instance_norm_backward"
    if checks.flag(op, "use_input_stats", use_input_stats):
        clean = _checked_groups(op, dy, x, None, weight, eps, mean, rstd)
        checks.unused_statistics(op, running_mean, running_var, clean[1], clean[0].groups)
        return _group_gradients, *clean
    given = dy, x, weight, eps, mean, rstd, running_mean, running_var
    return batch_gradients, *checks.batch_norm_backward(op, *given, False)


def _group_gradients(
    g: GroupNorm, x: Array, weight: Array | None, eps: float, dy: Array, mean: Array | None, rstd: Array | None
) -> Gradients:
    ops = backend.current()
    if mean is None:
        _, mean, rstd = ops.group_norm_forward(g, x, None, None, eps)
    return ops.group_norm_backward(g, dy, x, weight, mean, rstd, _ALL)  # type: ignore[no-any-return]


register_gradient("group_norm_backward", _checked_group_norm, _group_gradients)


def _instance_norm_backward(*arguments: Any) -> Gradients:
    gradients, *clean = _checked_instance_norm(*arguments)
    return gradients(*clean)  # type: ignore[no-any-return]


def _instance_norm_backward_plan(*arguments: Any) -> Plan:
    gradients, *clean = _checked_instance_norm(*arguments)
    return Plan(gradients, tuple(clean))


register("instance_norm_backward", _instance_norm_backward, _instance_norm_backward_plan)


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each sample over groups of channels and space.

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
    """Gradients of `group_norm`.

    Parameters
    ----------
    dy : array_like, shape (n, c, ...)
        The gradient of the output.
    x, num_groups, weight, eps
        What `group_norm` got.
    mean, rstd : array_like, shape (n, num_groups), optional
        Mean and ``1 / sqrt(var + eps)``, both or neither, in float64 or the dtype of ``x``; computed again where missing.

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


def instance_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    running_mean: Any = None,
    running_var: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.99,
    unbiased: bool = True,
) -> Any:
    """Normalise each sample and channel over space: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    Running statistics, if given, change in place where those of the input are used: ``running = momentum * running +
    (1 - momentum) * instance``, averaged over the samples. Otherwise they take the place of the input's, as in evaluation of
    batch norm.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, c, ...)
        The input, float32 or float64, with more than one spatial element where its statistics are used.
    weight, bias : array_like or Tensor, shape (c,), optional
        Scale and shift.
    eps : float
        Added to the (biased) variance.
    running_mean, running_var : ndarray, shape (c,), optional
        Running statistics of the dtype of ``x``, both or neither.
    use_input_stats : bool
        Whether to normalise with the statistics of ``x``; if not, with the running ones.
    momentum : float
        Share of the old running statistics that is kept, in [0, 1], as of `batch_norm`. PyTorch's is one minus this.
    unbiased : bool
        Whether the running variance takes the unbiased variances, as in PyTorch, or those that the norm divides by.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x``, ``weight`` or ``bias`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit, one spatial element only, or running statistics that are missing or cannot be updated
        in place; nothing has changed then.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.instance_norm(np.array([[[1.0, 3.0], [5.0, -5.0]]]), eps=0.0)
    array([[[-1.,  1.],
            [ 1., -1.]]])
    """
    return planned["instance_norm"](
        x, weight, bias, eps, running_mean, running_var, use_input_stats, momentum, unbiased
    )


def instance_norm_backward(
    dy: Any,
    x: Any,
    weight: Any = None,
    eps: float = 1e-5,
    mean: Any = None,
    rstd: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    use_input_stats: bool = True,
) -> Gradients:
    """Gradients of `instance_norm`: those of `group_norm` with c groups, or of `batch_norm` in evaluation.

    Parameters
    ----------
    dy : array_like, shape (n, c, ...)
        The gradient of the output.
    x, weight, eps
        What `instance_norm` got.
    mean, rstd : array_like, shape (n, c), optional
        Mean and ``1 / sqrt(var + eps)``, both or neither, in float64 or the dtype of ``x``; computed again where missing.
        Not with running statistics in their place.
    running_mean, running_var, use_input_stats
        What `instance_norm` got; where the statistics of ``x`` were used, the output does not depend on the running ones.

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
    return planned["instance_norm_backward"](  # type: ignore[no-any-return]
        dy, x, weight, eps, mean, rstd, running_mean, running_var, use_input_stats
    )
