"""Convolution in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checks
from .._types import Array, Constant, Ints, Padding, Value
from ..checks import ALL, Conv
from ._gradients import Gradients
from ._op import Call, Plan, Tape
from ._spatial import ranks
from ._tangents import of_products

__all__ = ["conv1d", "conv1d_backward", "conv2d", "conv2d_backward", "conv3d", "conv3d_backward"]


def _plan(op: str, rank: int, x: Any, weight: Any, bias: Any, *geometry: Any) -> Plan:
    return Plan("conv_forward", checks.conv(op, rank, x, weight, bias, *geometry), tape=Tape("conv_backward", _jvp))


def _jvp(ops: Any, tangents: Any, g: Conv, x: Array, weight: Array, y: Array) -> Any:
    return of_products(lambda x, w: ops.conv_forward(g, x, w, None), tangents, x, weight, y)


def _gradient_plan(op: str, rank: int, *arguments: Any) -> Plan:
    return Plan("conv_backward", checks.conv_backward(op, rank, *arguments))


def _conv(op: Call) -> Callable[..., Any]:
    def conv(
        x: Value,
        weight: Value,
        bias: Value | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> Value:
        """Convolve {inputs} with filters (cross-correlation, as everywhere in deep learning).

        ``y[n, k, {at}] = bias[k] + sum over c, {taps} of weight[k, c, {taps}] * x[n, c, {places}]``,
        and each spatial axis gives ``floor((W + P_low + P_high - D*(F - 1) - 1) / S) + 1`` outputs.

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

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]), padding="full")
        array([[[ 1.,  1.,  2., -4.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
        >>> F.conv2d(x, np.ones((1, 1, 3, 3)), bias=np.array([100.0]))
        array([[[[145., 154.],
                 [181., 190.]]]])
        >>> F.conv2d(x, np.ones((1, 1, 3, 3)), stride=2, padding="same").shape
        (1, 1, 2, 2)
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.conv3d(np.ones((1, 1, 2, 3, 3)), np.ones((1, 1, 2, 2, 2)), padding=(0, 0, 1))
        array([[[[[4., 8., 8., 4.],
                  [4., 8., 8., 4.]]]]])
        """
        return op(x, weight, bias, stride, padding, dilation, groups)

    return conv


conv1d, conv2d, conv3d = ranks("conv{rank}d", _conv, _plan, ("x", "weight", "bias"))


def _conv_backward(op: Call) -> Callable[..., Any]:
    def conv_backward(
        dy: Constant,
        x: Constant,
        weight: Constant,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        *,
        needs: tuple[bool, bool, bool] = ALL,
    ) -> Gradients:
        """Gradients of `{op}`.

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

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> dx, dweight, dbias = F.conv1d_backward(np.ones((1, 1, 2)), np.ones((1, 1, 3)), np.ones((1, 1, 2)))
        >>> dx, dbias
        (array([[[1., 2., 1.]]]), array([2.]))
        rank 2:
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
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> x, weight = np.ones((1, 1, 2, 2, 3)), np.ones((1, 1, 2, 2, 2))
        >>> dx, dweight, dbias = F.conv3d_backward(np.ones((1, 1, 1, 1, 2)), x, weight)
        >>> dx[0, 0, 0]
        array([[1., 2., 1.],
               [1., 2., 1.]])
        """
        return op(dy, x, weight, stride, padding, dilation, groups, needs)

    return conv_backward


conv1d_backward, conv2d_backward, conv3d_backward = ranks("conv{rank}d_backward", _conv_backward, _gradient_plan)
