"""Average pooling in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checks
from .._types import Array, Constant, Ints, Padding, ShapeLike, Value
from ..checks import Pool
from ._op import Call, Plan, Tape
from ._spatial import ranks

__all__ = [
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
]


def _plan(op: str, rank: int, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any, *rest: Any) -> Plan:
    *divisor, dilation = rest
    g, x = checks.pool(op, rank, x, kernel_size, stride, padding, dilation, ceil_mode)
    return Plan("avg_pool_forward", (g, x, *checks.pool_divisor(op, *divisor)), tape=Tape("avg_pool_backward", _jvp))


def _jvp(ops: Any, tangents: Any, g: Pool, count_include_pad: bool, divisor_override: int | None) -> Any:
    return ops.avg_pool_forward(g, tangents[0], count_include_pad, divisor_override)


def _gradient_plan(
    op: str,
    rank: int,
    dy: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    *rest: Any,
) -> Plan:
    *divisor, dilation = rest
    g, dy = checks.pool_backward(op, rank, dy, x_shape, kernel_size, stride, padding, dilation, ceil_mode)
    return Plan("avg_pool_backward", (g, dy, *checks.pool_divisor(op, *divisor)))


def _avg_pool(op: Call) -> Callable[..., Any]:
    def avg_pool(
        x: Value,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        dilation: Ints = 1,
    ) -> Value:
        """Mean of each window of {inputs}.

        Parameters
        ----------
        x : array_like or Tensor, shape (n, c, {size})
            The {inputs}, float32 or float64.
        kernel_size : {ints}
            Size of the window.
        stride : {ints}, optional
            Step of the window; its size by default.
        padding : {paddings}, or str
            Zeros around the {input}, in the forms of `conv2d`. Every window must hold an element of ``x``.
        ceil_mode : bool
            Round the output size up, as in `max_pool2d`.
        count_include_pad : bool
            Whether padding counts in the divisor. What overhangs the padded {input} (``ceil_mode``) never does.
        divisor_override : int, optional
            What to divide the sum of every window by, instead of the number of its elements.
        dilation : {ints}
            Step between the elements of a window; PyTorch's function has none.

        Returns
        -------
        ndarray or Tensor, shape (n, c, {out})
            The means; a tensor if ``x`` is one.

        Raises
        ------
        TypeError
            For a dtype other than float32 and float64.
        ValueError
            For a kernel larger than the padded {input}, a window that would hold padding only, or a divisor below 1.

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.avg_pool1d(np.array([[[1.0, 3.0, 5.0]]]), 2, padding=1, count_include_pad=False)
        array([[[1., 4.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
        array([[[[ 2.5,  4.5],
                 [10.5, 12.5]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.avg_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2)
        array([[[[[6.5, 8.5]]]]])
        """
        return op(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation)

    return avg_pool


avg_pool1d, avg_pool2d, avg_pool3d = ranks("avg_pool{rank}d", _avg_pool, _plan, ("x",))


def _avg_pool_backward(op: Call) -> Callable[..., Any]:
    def avg_pool_backward(
        dy: Constant,
        x_shape: ShapeLike,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        dilation: Ints = 1,
    ) -> Array:
        """Gradient of `{op}`.

        Parameters
        ----------
        dy : array_like, shape (n, c, {out})
            The gradient of the output.
        x_shape : tuple of int, or ndarray
            The shape of what `{op}` got, or the array itself.
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
            What `{op}` got.

        Returns
        -------
        ndarray, shape (n, c, {size})
            The gradient of ``x``.

        Raises
        ------
        TypeError, ValueError
            As `{op}`, and if ``dy`` has not the shape of its output.

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.avg_pool1d_backward(np.array([[[2.0, 4.0]]]), (1, 1, 4), 2)
        array([[[1., 1., 2., 2.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), 2)
        array([[[[0.25, 0.25],
                 [0.25, 0.25]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.avg_pool3d_backward(np.ones((1, 1, 1, 1, 1)), (1, 1, 2, 1, 2), (2, 1, 2))
        array([[[[[0.25, 0.25]],
        <BLANKLINE>
                 [[0.25, 0.25]]]]])
        """
        return op(dy, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation)

    return avg_pool_backward


avg_pool1d_backward, avg_pool2d_backward, avg_pool3d_backward = ranks(
    "avg_pool{rank}d_backward", _avg_pool_backward, _gradient_plan
)
