"""Max pooling in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checks
from .._types import Array, Constant, Ints, Padding, Value
from ..checks import Pool
from ._gradients import maxima_gradient
from ._op import Call, Plan, Tape
from ._spatial import ranks
from ._tangents import at

__all__ = [
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool3d",
    "max_pool3d_backward",
]


def _plan(op: str, rank: int, x: Any, *arguments: Any, taped: bool = False) -> Plan:
    *windows, return_indices = arguments
    g, x = checks.pool(op, rank, x, *windows)
    if checks.flag(op, "return_indices", return_indices):
        results = ("y", "positions", "index")
        return Plan("max_pool_indices", (g, x), results, gives=2, tape=Tape(_vjp, _jvp))
    return Plan("max_pool_forward", (g, x, taped), ("y", "index"), tape=Tape(_vjp, _jvp))


def _vjp(ops: Any, dy: Array, needs: tuple[bool, ...], g: Pool, index: Array) -> tuple[Array]:
    return (ops.max_pool_backward(g, dy, index),)


def _jvp(ops: Any, tangents: Any, g: Pool, x: Array) -> Array:
    return at(tangents[0], ops.max_pool_indices(g, x)[1])


def _gradient_plan(op: str, rank: int, dy: Any, x: Any, *arguments: Any) -> Plan:
    *windows, indices = arguments

    def check(dy: Any, x: Any) -> Any:
        return checks.pool_backward(op, rank, dy, x, *windows)

    return maxima_gradient(op, "max_pool_backward", check, _taps, dy, x, indices)


def _taps(ops: Any, g: Pool, x: Array) -> Array:
    return ops.max_pool_forward(g, x, True)[1]


def _max_pool(op: Call) -> Callable[..., Any]:
    def max_pool(
        x: Value,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Value | tuple[Value, Array]:
        """Maximum of each window of {inputs}; NaN if the window holds one.

        Parameters
        ----------
        x : array_like or Tensor, shape (n, c, {size})
            The {inputs}, float32 or float64.
        kernel_size : {ints}
            Size of the window.
        stride : {ints}, optional
            Step of the window; its size by default, less makes windows overlap.
        padding : {paddings}, or str
            Border that belongs to no {input} and never wins, in the forms of `conv2d`. Every window must hold an
            element of ``x``.
        dilation : {ints}
            Step between the taps of a window.
        ceil_mode : bool
            Round the output size up: a last window may overhang the padded {input} if it starts inside it and
            not in the high padding. In this mode alone a kernel may be larger than the padded {input}.
        return_indices : bool
            Also return where each maximum was.

        Returns
        -------
        y : ndarray or Tensor, shape (n, c, {out})
            The maxima; a tensor if ``x`` is one. Among equals the first counts and gets the gradient.
        indices : ndarray of int64, shape (n, c, {out})
            Flat positions ``{position}`` in the {input}; with ``return_indices`` only.

        Raises
        ------
        TypeError
            For a dtype other than float32 and float64.
        ValueError
            For a kernel larger than the padded {input}, or a window that would hold padding only.

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0, 4.0]]]), 2, ceil_mode=True)
        array([[[3., 5., 4.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
        >>> F.max_pool2d(x, 2)
        array([[[[ 5.,  7.],
                 [13., 15.]]]])
        >>> y, indices = F.max_pool2d(x, 3, stride=2, padding=1, return_indices=True)
        >>> indices
        array([[[[ 5,  7],
                 [13, 15]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.max_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2)
        array([[[[[13., 15.]]]]])
        """
        return op(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)

    return max_pool


max_pool1d, max_pool2d, max_pool3d = ranks("max_pool{rank}d", _max_pool, _plan, ("x",))


def _max_pool_backward(op: Call) -> Callable[..., Any]:
    def max_pool_backward(
        dy: Constant,
        x: Constant,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        indices: Constant | None = None,
    ) -> Array:
        """Gradient of `{op}`.

        Parameters
        ----------
        dy : array_like, shape (n, c, {out})
            The gradient of the output.
        x : array_like, shape (n, c, {size})
            What `{op}` got; where ``indices`` are given its shape is enough.
        kernel_size, stride, padding, dilation, ceil_mode
            What `{op}` got.
        indices : array_like of int, optional
            What `{op}` returned with ``return_indices=True``; without them they are computed again.

        Returns
        -------
        ndarray, shape (n, c, {size})
            The gradient of ``x``.

        Raises
        ------
        TypeError, ValueError
            As `{op}`, if ``dy`` has not the shape of its output, and if an index lies outside its window.

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.max_pool1d_backward(np.ones((1, 1, 2)), np.array([[[1.0, 3.0, 2.0]]]), 2, stride=1)
        array([[[0., 2., 0.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.max_pool2d_backward(np.ones((1, 1, 1, 1)), np.array([[[[1.0, 3.0], [3.0, 2.0]]]]), 2)
        array([[[[0., 1.],
                 [0., 0.]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> x = np.array([[[[[1.0, 3.0]], [[4.0, 2.0]]]]])
        >>> F.max_pool3d_backward(np.ones((1, 1, 1, 1, 1)), x, (2, 1, 2))
        array([[[[[0., 0.]],
        <BLANKLINE>
                 [[1., 0.]]]]])
        """
        return op(dy, x, kernel_size, stride, padding, dilation, ceil_mode, indices)

    return max_pool_backward


max_pool1d_backward, max_pool2d_backward, max_pool3d_backward = ranks(
    "max_pool{rank}d_backward", _max_pool_backward, _gradient_plan
)
