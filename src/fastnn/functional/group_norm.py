"""Group and instance normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array, Constant, Value
from ..checks import ALL, GroupNorm, Norm
from ._gradients import AllGradients
from ._op import Plan, Tape, operation
from ._tangents import OF_X, of_affine, over_channels, per_channel
from .batch_norm import batch_gradients, channel_norm_plan

__all__ = ["group_norm", "group_norm_backward", "instance_norm", "instance_norm_backward"]


def _group_plan(x: Any, num_groups: Any, weight: Any, bias: Any, eps: Any) -> Plan:
    groups = checks.integer("group_norm", "num_groups", num_groups)
    arguments = checks.group_norm("group_norm", x, groups, weight, bias, eps)
    return Plan("group_norm_forward", arguments, ("y", "mean", "rstd"), tape=_GROUPED)


def _instance_plan(
    x: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: Any,
    momentum: Any,
    unbiased: Any,
    *,
    taped: bool = False,
) -> Plan:
    op = "instance_norm"
    if not checks.flag(op, "use_input_stats", use_input_stats):
        given = (x, running_mean, running_var, weight, bias, None, False, momentum, eps, unbiased)
        return channel_norm_plan(op, *given, taped=taped)
    running = checks.instance_statistics(op, running_mean, running_var, momentum, unbiased, x, weight, bias)
    arguments = checks.group_norm(op, x, None, weight, bias, eps)
    if running is None:
        return Plan("group_norm_forward", arguments, ("y", "mean", "rstd"), tape=_GROUPED)
    return Plan(_tracked, (*arguments, *running), ("y", "mean", "rstd"), tape=_GROUPED)


def _tracked(
    g: GroupNorm,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    running_mean: Array,
    running_var: Array,
    momentum: float,
    unbiased: bool,
) -> tuple[Array, Array, Array]:
    """The norm of each sample's channels. Running statistics become the mean of those that each sample alone would give."""
    ops = backend.current()
    results: tuple[Array, Array, Array] = ops.group_norm_forward(g, x, weight, bias, eps)
    if g.n:
        mean, var = np.tile(running_mean, g.n), np.tile(running_var, g.n)
        channels = Norm(1, g.n * g.groups, g.inner)
        ops.batch_norm_train_forward(channels, x, None, None, mean, var, momentum, 1.0, unbiased=unbiased)
        for running, of_samples in ((running_mean, mean), (running_var, var)):
            running[...] = of_samples.reshape(g.n, g.groups).mean(0, dtype=np.float64)
    return results


def _group_vjp(
    ops: Any, dy: Array, needs: Any, g: GroupNorm, x: Array, weight: Array | None, mean: Array, rstd: Array
) -> Any:
    return ops.group_norm_backward(g, dy, x, weight, mean, rstd, needs)


def _group_jvp(
    ops: Any, tangents: Any, g: GroupNorm, x: Array, weight: Array | None, eps: float, mean: Array, rstd: Array
) -> Any:
    moved = of_affine(
        over_channels(tangents, x),
        lambda t: ops.group_norm_backward(g, t, x, None, mean, rstd, OF_X)[0],
        lambda: ops.group_norm_forward(g, x, None, None, eps)[0],
        per_channel(weight, x),
    )
    return np.broadcast_to(moved, x.shape)


_GROUPED = Tape(_group_vjp, _group_jvp)


_GROUP_NORM = operation("group_norm", _group_plan, ("x", "weight", "bias"))


_INSTANCE_NORM = operation("instance_norm", _instance_plan, ("x", "weight", "bias"))


def _groups_gradient_plan(
    op: str, dy: Any, x: Any, num_groups: int | None, weight: Any, eps: Any, mean: Any, rstd: Any
) -> Plan:
    g, x, weight, _, eps = checks.group_norm(op, x, num_groups, weight, None, eps)
    clean = checks.norm_backward(op, dy, x, mean, rstd, (g.n, g.groups))
    return Plan(_group_gradients, (g, x, weight, eps, *clean))


def _group_gradient_plan(dy: Any, x: Any, num_groups: Any, *arguments: Any) -> Plan:
    op = "group_norm_backward"
    return _groups_gradient_plan(op, dy, x, checks.integer(op, "num_groups", num_groups), *arguments)


def _instance_gradient_plan(
    dy: Any,
    x: Any,
    weight: Any,
    eps: Any,
    mean: Any,
    rstd: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: Any,
) -> Plan:
    op = "instance_norm_backward"
    if checks.flag(op, "use_input_stats", use_input_stats):
        plan = _groups_gradient_plan(op, dy, x, None, weight, eps, mean, rstd)
        g, x, *_ = plan.arguments
        checks.unused_statistics(op, running_mean, running_var, x, g.groups)
        return plan
    given = dy, x, weight, eps, mean, rstd, running_mean, running_var
    return Plan(batch_gradients, checks.batch_norm_backward(op, *given, False))


def _group_gradients(
    g: GroupNorm, x: Array, weight: Array | None, eps: float, dy: Array, mean: Array | None, rstd: Array | None
) -> AllGradients:
    ops = backend.current()
    if mean is None:
        _, mean, rstd = ops.group_norm_forward(g, x, None, None, eps)
    return ops.group_norm_backward(g, dy, x, weight, mean, rstd, ALL)


_GROUP_NORM_BACKWARD = operation("group_norm_backward", _group_gradient_plan)


_INSTANCE_NORM_BACKWARD = operation("instance_norm_backward", _instance_gradient_plan)


def group_norm(
    x: Value, num_groups: int, weight: Value | None = None, bias: Value | None = None, eps: float = 1e-5
) -> Value:
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
    return _GROUP_NORM(x, num_groups, weight, bias, eps)


def group_norm_backward(
    dy: Constant,
    x: Constant,
    num_groups: int,
    weight: Constant | None = None,
    eps: float = 1e-5,
    mean: Constant | None = None,
    rstd: Constant | None = None,
) -> AllGradients:
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
    return _GROUP_NORM_BACKWARD(dy, x, num_groups, weight, eps, mean, rstd)


def instance_norm(
    x: Value,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.99,
    unbiased: bool = True,
) -> Value:
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
    return _INSTANCE_NORM(x, weight, bias, eps, running_mean, running_var, use_input_stats, momentum, unbiased)


def instance_norm_backward(
    dy: Constant,
    x: Constant,
    weight: Constant | None = None,
    eps: float = 1e-5,
    mean: Constant | None = None,
    rstd: Constant | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    use_input_stats: bool = True,
) -> AllGradients:
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
    return _INSTANCE_NORM_BACKWARD(dy, x, weight, eps, mean, rstd, running_mean, running_var, use_input_stats)
