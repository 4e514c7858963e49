"""Transposed convolution in one, two and three dimensions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, planned, register
from ..checks import ALL
from ._gradients import Gradients, register_gradient
from ._spatial import sections
from ._tangents import total

__all__ = [
    "conv_transpose1d",
    "conv_transpose1d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "conv_transpose3d",
    "conv_transpose3d_backward",
]

Array = np.ndarray[Any, Any]


def _conv_transpose(op: str, rank: int, x: Any, weight: Any, bias: Any, *geometry: Any) -> Any:
    g, x_, w_, b_ = checks.conv_transpose(op, rank, raw(x), raw(weight), raw(bias), *geometry)
    ops = backend.current()
    y = ops.conv_transpose_forward(g, x_, w_, b_)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
        return ops.conv_transpose_backward(g, dy, x_, w_, needs)

    def jvp(tangents: Any) -> Any:
        tx, tw, tb = tangents
        by_x = None if tx is None else ops.conv_transpose_forward(g, tx, w_, None)
        by_weight = None if tw is None else ops.conv_transpose_forward(g, x_, tw, None)
        by_bias = None if tb is None else np.broadcast_to(tb.reshape(-1, *(1,) * rank), y.shape)
        return total(by_x, by_weight, by_bias)

    return record(op, y, (x, weight, bias), vjp, jvp)


def _plan(op: str, rank: int, *arguments: Any) -> Plan:
    return Plan("conv_transpose_forward", checks.conv_transpose(op, rank, *arguments))


for _rank in (1, 2, 3):
    _name = f"conv_transpose{_rank}d"
    register(_name, partial(_conv_transpose, _name, _rank), partial(_plan, _name, _rank))


for _rank in (1, 2, 3):
    _name = f"conv_transpose{_rank}d_backward"
    register_gradient(_name, partial(checks.conv_transpose_backward, _name, _rank), "conv_transpose_backward")


_FORWARD = """
With stride S, kernel F, dilation D and total padding P an axis of W inputs gives
``(W - 1)*S - P + D*(F - 1) + output_padding + 1`` outputs.

Parameters
----------
x : array_like or Tensor, shape (n, c, {size})
    The {inputs}, float32 or float64.
weight : array_like or Tensor, shape (c, k // groups, {kernel})
    The filters, of the dtype of ``x``: that of the convolution from k to c channels whose data gradient this is.
bias : array_like or Tensor, shape (k,), optional
    Added to each output channel.
stride, dilation : {ints}
    Step between the places where neighbouring inputs are put, and between the taps.
padding : {paddings}
    How much is cut off at the sides of the result: what the convolution would pad.
output_padding : {ints}
    Outputs more at the high side, fewer than stride or dilation: which of the sizes that the convolution maps to
    W is wanted.
groups : int
    Groups of channels kept apart.

Returns
-------
ndarray or Tensor, shape (n, k, {out})
    A tensor if an argument is one.

Raises
------
TypeError
    For a dtype other than float32 and float64, or a mixture of them.
ValueError
    For shapes that don't fit, an output padding that is not smaller than stride or dilation, or a padding that
    leaves nothing.
"""

_BACKWARD = """
Parameters
----------
dy : array_like, shape (n, k, {out})
    The gradient of the output.
x, weight : array_like
    What `{op}` got.
stride, padding, output_padding, groups, dilation
    What `{op}` got.
needs : (bool, bool, bool)
    Which of the three results are wanted. What is not is not computed.

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
def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of sequences: each input adds its multiple of the filters to the output.

    ``y[n, k, i*S - P + a*D] += weight[c, k, a] * x[n, c, i]``, and ``bias[k]``, with the arguments in PyTorch's order.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.conv_transpose1d(np.array([[[1.0, 10.0, 100.0]]]), np.array([[[1.0, 2.0, 3.0]]]), stride=2)
    array([[[  1.,   2.,  13.,  20., 130., 200., 300.]]])
    """
    return planned["conv_transpose1d"](x, weight, bias, stride, padding, output_padding, groups, dilation)


@sections(_BACKWARD, 1)
def conv_transpose1d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    needs: tuple[bool, bool, bool] = ALL,
) -> Gradients:
    """Gradients of `conv_transpose1d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, weight = np.array([[[1.0, 2.0]]]), np.array([[[1.0, 2.0, 3.0]]])
    >>> dx, dweight, dbias = F.conv_transpose1d_backward(np.ones((1, 1, 4)), x, weight)
    >>> dx, dweight, dbias
    (array([[[6., 6.]]]), array([[[3., 3., 3.]]]), array([4.]))
    """
    return planned["conv_transpose1d_backward"](  # type: ignore[no-any-return]
        dy, x, weight, stride, padding, output_padding, groups, dilation, needs
    )


@sections(_FORWARD, 2)
def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of images, which enlarges them: the data gradient of `conv2d` as a layer.

    ``y[n, k, i*S - P + a*D, j*S - P + b*D] += weight[c, k, a, b] * x[n, c, i, j]``, and ``bias[k]``, with the arguments
    in PyTorch's order.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.conv_transpose2d(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.ones((1, 1, 2, 2)), stride=2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.],
             [3., 3., 4., 4.],
             [3., 3., 4., 4.]]]])
    >>> F.conv_transpose2d(np.ones((2, 3, 7, 7)), np.ones((3, 4, 3, 3)), None, 2, 1, output_padding=1).shape
    (2, 4, 14, 14)
    """
    return planned["conv_transpose2d"](x, weight, bias, stride, padding, output_padding, groups, dilation)


@sections(_BACKWARD, 2)
def conv_transpose2d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    needs: tuple[bool, bool, bool] = ALL,
) -> Gradients:
    """Gradients of `conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, weight = np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2))
    >>> dx, dweight, dbias = F.conv_transpose2d_backward(np.arange(16.0).reshape(1, 1, 4, 4), x, weight, 2)
    >>> dx[0, 0]
    array([[10., 18.],
           [42., 50.]])
    """
    return planned["conv_transpose2d_backward"](  # type: ignore[no-any-return]
        dy, x, weight, stride, padding, output_padding, groups, dilation, needs
    )


@sections(_FORWARD, 3)
def conv_transpose3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of volumes: `conv_transpose2d` with a third spatial axis in front.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.conv_transpose3d(np.array([[[[[1.0, 2.0]]]]]), np.ones((1, 1, 1, 2, 2)), stride=(1, 1, 2))
    array([[[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]]])
    """
    return planned["conv_transpose3d"](x, weight, bias, stride, padding, output_padding, groups, dilation)


@sections(_BACKWARD, 3)
def conv_transpose3d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    needs: tuple[bool, bool, bool] = ALL,
) -> Gradients:
    """Gradients of `conv_transpose3d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x, weight = np.ones((1, 1, 1, 1, 2)), np.ones((1, 1, 1, 2, 2))
    >>> dx, dweight, dbias = F.conv_transpose3d_backward(np.ones((1, 1, 1, 2, 4)), x, weight, 2)
    >>> dx, dbias
    (array([[[[[4., 4.]]]]]), array([8.]))
    """
    return planned["conv_transpose3d_backward"](  # type: ignore[no-any-return]
        dy, x, weight, stride, padding, output_padding, groups, dilation, needs
    )
