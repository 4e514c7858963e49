"""Convolution in one, two and three dimensions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, Tape, planned, register
from ..checks import ALL, Conv
from ._gradients import Gradients, register_gradient
from ._spatial import sections
from ._tangents import total

__all__ = ["conv1d", "conv1d_backward", "conv2d", "conv2d_backward", "conv3d", "conv3d_backward"]

Array = np.ndarray[Any, Any]


def _conv(
    op: str, rank: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    g, x_, w_, b_ = checks.conv(op, rank, raw(x), raw(weight), raw(bias), stride, padding, dilation, groups)
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
        return _vjp(ops, dy, needs, g, x_, w_)

    y = ops.conv_forward(g, x_, w_, b_)

    def jvp(tangents: Any) -> Any:
        tx, tw, tb = tangents
        by_x = None if tx is None else ops.conv_forward(g, tx, w_, None)
        by_weight = None if tw is None else ops.conv_forward(g, x_, tw, None)
        by_bias = None if tb is None else np.broadcast_to(tb.reshape(-1, *(1,) * rank), y.shape)
        return total(by_x, by_weight, by_bias)

    return record(op, y, (x, weight, bias), vjp, jvp)


def _vjp(ops: Any, dy: Array, needs: tuple[bool, ...], g: Conv, x: Array, weight: Array) -> Any:
    return ops.conv_backward(g, dy, x, weight, needs)


def _plan(op: str, rank: int, *arguments: Any) -> Plan:
    return Plan("conv_forward", checks.conv(op, rank, *arguments), tape=Tape(_vjp, (0, 1, 2)))


for _rank in (1, 2, 3):
    _name = f"conv{_rank}d"
    register(_name, partial(_conv, _name, _rank), *(partial(_plan, _name, _rank),) * 2)


for _rank in (1, 2, 3):
    _name = f"conv{_rank}d_backward"
    register_gradient(_name, partial(checks.conv_backward, _name, _rank), "conv_backward")


_FORWARD = """
Parameters
----------
x : array_like or Tensor, shape (n, c, {size})
    The {inputs}, float32 or float64.
weight : array_like or Tensor, shape (k, c // groups, {kernel})
    The filters, of the dtype of ``x``.
bias : array_like or Tensor, shape (k,), optional
    Added to each output channel.
stride, dilation : {ints}
    Step of the window, and step between its taps.
padding : {paddings}, or str
    Zeros around the {input}: the same everywhere, per axis, or (low, high) per axis. ``"valid"`` is none,
    ``"same"`` gives ``ceil(W / S)`` outputs with the odd zero at the high side, and ``"full"`` puts
    ``D*(F - 1)`` zeros at each side.
groups : int
    Groups of channels convolved apart; ``groups = c`` is a depthwise convolution.

Returns
-------
ndarray or Tensor, shape (n, k, {out})
    A tensor if an argument is one.

Raises
------
TypeError
    For a dtype other than float32 and float64, or a mixture of them.
ValueError
    For shapes that don't fit, or a kernel larger than the padded {input}.

Notes
-----
With 3 x 3 taps of stride 1 the compiled backend may sum by Winograd's algorithm: `fastnn.set_winograd`.
"""

_BACKWARD = """
Parameters
----------
dy : array_like, shape (n, k, {out})
    The gradient of the output.
x, weight : array_like
    What `{op}` got.
stride, padding, dilation, groups
    What `{op}` got.
needs : (bool, bool, bool)
    Which of the three results are wanted. What is not is not computed: the first layer of a network needs no ``dx``.

Returns
-------
dx, dweight, dbias : ndarray or None
    Of the shapes of ``x`` and ``weight``, and ``(k,)``; None for what ``needs`` leaves out.

Raises
------
TypeError, ValueError
    As `{op}`, and if ``dy`` has not the shape of its output or ``needs`` is not three bools.
"""


@sections(_FORWARD, 1)
def conv1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolve sequences with filters (cross-correlation, as everywhere in deep learning).

    ``y[n, k, i] = bias[k] + sum over c, a of weight[k, c, a] * x[n, c, i*S - P + a*D]``, and there are
    ``floor((W + P_low + P_high - D*(F - 1) - 1) / S) + 1`` outputs.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]), padding="full")
    array([[[ 1.,  1.,  2., -4.]]])
    """
    return planned["conv1d"](x, weight, bias, stride, padding, dilation, groups)


@sections(_BACKWARD, 1)
def conv1d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    needs: tuple[bool, bool, bool] = ALL,
) -> Gradients:
    """Gradients of `conv1d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> dx, dweight, dbias = F.conv1d_backward(np.ones((1, 1, 2)), np.ones((1, 1, 3)), np.ones((1, 1, 2)))
    >>> dx, dbias
    (array([[[1., 2., 1.]]]), array([2.]))
    """
    return planned["conv1d_backward"](  # type: ignore[no-any-return]
        dy, x, weight, stride, padding, dilation, groups, needs
    )


@sections(_FORWARD, 2)
def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolve images with filters (cross-correlation, as everywhere in deep learning).

    ``y[n, k, i, j] = bias[k] + sum over c, a, b of weight[k, c, a, b] * x[n, c, i*S - P + a*D, j*S - P + b*D]``
    and each spatial axis gives ``floor((W + P_low + P_high - D*(F - 1) - 1) / S) + 1`` outputs.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> F.conv2d(x, np.ones((1, 1, 3, 3)), bias=np.array([100.0]))
    array([[[[145., 154.],
             [181., 190.]]]])
    >>> F.conv2d(x, np.ones((1, 1, 3, 3)), stride=2, padding="same").shape
    (1, 1, 2, 2)
    """
    return planned["conv2d"](x, weight, bias, stride, padding, dilation, groups)


@sections(_BACKWARD, 2)
def conv2d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    needs: tuple[bool, bool, bool] = ALL,
) -> Gradients:
    """Gradients of `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> dx, dweight, dbias = F.conv2d_backward(np.ones((1, 1, 2, 2)), x, weight)
    >>> dx[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    >>> F.conv2d_backward(np.ones((1, 1, 2, 2)), x, weight, needs=(False, False, True))
    (None, None, array([4.]))
    """
    return planned["conv2d_backward"](  # type: ignore[no-any-return]
        dy, x, weight, stride, padding, dilation, groups, needs
    )


@sections(_FORWARD, 3)
def conv3d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolve volumes, or videos, with filters: `conv2d` with a third spatial axis in front.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.conv3d(np.ones((1, 1, 2, 3, 3)), np.ones((1, 1, 2, 2, 2)), padding=(0, 0, 1))
    array([[[[[4., 8., 8., 4.],
              [4., 8., 8., 4.]]]]])
    """
    return planned["conv3d"](x, weight, bias, stride, padding, dilation, groups)


@sections(_BACKWARD, 3)
def conv3d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    needs: tuple[bool, bool, bool] = ALL,
) -> Gradients:
    """Gradients of `conv3d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, weight = np.ones((1, 1, 2, 2, 3)), np.ones((1, 1, 2, 2, 2))
    >>> dx, dweight, dbias = F.conv3d_backward(np.ones((1, 1, 1, 1, 2)), x, weight)
    >>> dx[0, 0, 0]
    array([[1., 2., 1.],
           [1., 2., 1.]])
    """
    return planned["conv3d_backward"](  # type: ignore[no-any-return]
        dy, x, weight, stride, padding, dilation, groups, needs
    )
