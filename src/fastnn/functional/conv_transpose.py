"""Transposed convolution in one, two and three dimensions."""

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

__all__ = [
    "conv_transpose1d",
    "conv_transpose1d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "conv_transpose3d",
    "conv_transpose3d_backward",
]


def _plan(op: str, rank: int, x: Any, weight: Any, bias: Any, *geometry: Any) -> Plan:
    arguments = checks.conv_transpose(op, rank, x, weight, bias, *geometry)
    return Plan("conv_transpose_forward", arguments, tape=Tape("conv_transpose_backward", _jvp))


def _jvp(ops: Any, tangents: Any, g: Conv, x: Array, weight: Array, y: Array) -> Any:
    return of_products(lambda x, w: ops.conv_transpose_forward(g, x, w, None), tangents, x, weight, y)


def _gradient_plan(op: str, rank: int, *arguments: Any) -> Plan:
    return Plan("conv_transpose_backward", checks.conv_transpose_backward(op, rank, *arguments))


def _conv_transpose(op: Call) -> Callable[..., Any]:
    def conv_transpose(
        x: Value,
        weight: Value,
        bias: Value | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        dilation: Ints = 1,
    ) -> Value:
        """Transposed convolution of {inputs}, which enlarges them: the data gradient of a convolution as a layer.

        Each input adds its multiple of the filters to the output:
        ``y[n, k, {places}] += weight[c, k, {taps}] * x[n, c, {at}]``,
        and ``bias[k]``, with the arguments in PyTorch's order.

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

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.conv_transpose1d(np.array([[[1.0, 10.0, 100.0]]]), np.array([[[1.0, 2.0, 3.0]]]), stride=2)
        array([[[  1.,   2.,  13.,  20., 130., 200., 300.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.conv_transpose2d(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.ones((1, 1, 2, 2)), stride=2)
        array([[[[1., 1., 2., 2.],
                 [1., 1., 2., 2.],
                 [3., 3., 4., 4.],
                 [3., 3., 4., 4.]]]])
        >>> F.conv_transpose2d(np.ones((2, 3, 7, 7)), np.ones((3, 4, 3, 3)), None, 2, 1, output_padding=1).shape
        (2, 4, 14, 14)
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.conv_transpose3d(np.array([[[[[1.0, 2.0]]]]]), np.ones((1, 1, 1, 2, 2)), stride=(1, 1, 2))
        array([[[[[1., 1., 2., 2.],
                  [1., 1., 2., 2.]]]]])
        """
        return op(x, weight, bias, stride, padding, output_padding, groups, dilation)

    return conv_transpose


conv_transpose1d, conv_transpose2d, conv_transpose3d = ranks(
    "conv_transpose{rank}d", _conv_transpose, _plan, ("x", "weight", "bias")
)


def _conv_transpose_backward(op: Call) -> Callable[..., Any]:
    def conv_transpose_backward(
        dy: Constant,
        x: Constant,
        weight: Constant,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        dilation: Ints = 1,
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

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> x, weight = np.array([[[1.0, 2.0]]]), np.array([[[1.0, 2.0, 3.0]]])
        >>> dx, dweight, dbias = F.conv_transpose1d_backward(np.ones((1, 1, 4)), x, weight)
        >>> dx, dweight, dbias
        (array([[[6., 6.]]]), array([[[3., 3., 3.]]]), array([4.]))
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> x, weight = np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2))
        >>> dx, dweight, dbias = F.conv_transpose2d_backward(np.arange(16.0).reshape(1, 1, 4, 4), x, weight, 2)
        >>> dx[0, 0]
        array([[10., 18.],
               [42., 50.]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> x, weight = np.ones((1, 1, 1, 1, 2)), np.ones((1, 1, 1, 2, 2))
        >>> dx, dweight, dbias = F.conv_transpose3d_backward(np.ones((1, 1, 1, 2, 4)), x, weight, 2)
        >>> dx, dbias
        (array([[[[[4., 4.]]]]]), array([8.]))
        """
        return op(dy, x, weight, stride, padding, output_padding, groups, dilation, needs)

    return conv_transpose_backward


conv_transpose1d_backward, conv_transpose2d_backward, conv_transpose3d_backward = ranks(
    "conv_transpose{rank}d_backward", _conv_transpose_backward, _gradient_plan
)
