"""L_p pooling in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import backend, checks
from .._types import Array, Constant, Ints, Padding, Value
from ..checks import Pool
from ._op import Call, Plan, Tape
from ._spatial import ranks
from ._tangents import of_lp_pool

__all__ = ["lp_pool1d", "lp_pool1d_backward", "lp_pool2d", "lp_pool2d_backward", "lp_pool3d", "lp_pool3d_backward"]


def _plan(
    op: str,
    rank: int,
    x: Any,
    norm_type: Any,
    kernel_size: Any,
    stride: Any,
    ceil_mode: Any,
    padding: Any,
    dilation: Any,
) -> Plan:
    g, x = checks.pool(op, rank, x, kernel_size, stride, padding, dilation, ceil_mode)
    p = checks.real(op, "norm_type", norm_type, 0.0, open_low=True)
    return Plan("lp_pool_forward", (g, x, p), tape=Tape("lp_pool_backward", _jvp))


def _jvp(ops: Any, tangents: Any, g: Pool, x: Array, y: Array, p: float) -> Array:
    return of_lp_pool(g, tangents[0], x, y, p)


def _gradient_plan(
    op: str,
    rank: int,
    dy: Any,
    x: Any,
    norm_type: Any,
    kernel_size: Any,
    stride: Any,
    ceil_mode: Any,
    padding: Any,
    dilation: Any,
) -> Plan:
    x = checks.array(op, "x", x)
    g, dy = checks.pool_backward(op, rank, dy, x, kernel_size, stride, padding, dilation, ceil_mode)
    checks.same_dtype(op, "x", x, dy.dtype, "dy")
    return Plan(_gradient, (g, dy, x, checks.real(op, "norm_type", norm_type, 0.0, open_low=True)))


def _gradient(g: Pool, dy: Array, x: Array, p: float) -> Array:
    ops = backend.current()
    return ops.lp_pool_backward(g, dy, x, ops.lp_pool_forward(g, x, p), p)


def _lp_pool(op: Call) -> Callable[..., Any]:
    def lp_pool(
        x: Value,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
        *,
        padding: Padding = 0,
        dilation: Ints = 1,
    ) -> Value:
        """Norm of each window of {inputs}: ``y = (sum of |x|**p) ** (1 / p)``.

        PyTorch leaves out the absolute value, and scales windows that overhang (``ceil_mode``) as if they were
        whole; here a window is the norm of the elements that it has.

        Parameters
        ----------
        x : array_like or Tensor, shape (n, c, {size})
            The {inputs}, float32 or float64.
        norm_type : float
            The exponent p, above 0: 1 gives the sum of magnitudes, 2 the Euclidean norm.
        kernel_size : {ints}
            Size of the window.
        stride : {ints}, optional
            Step of the window; its size by default.
        ceil_mode : bool
            Round the output size up, as in `max_pool2d`.
        padding : {paddings}, or str
            Zeros around the {input}, in the forms of `conv2d`. Every window must hold an element of ``x``.
        dilation : {ints}
            Step between the elements of a window; PyTorch's function has none.

        Returns
        -------
        ndarray or Tensor, shape (n, c, {out})
            The norms; a tensor if ``x`` is one. The gradient is 0 where an element or its window's norm is 0.

        Raises
        ------
        TypeError
            For a dtype other than float32 and float64.
        ValueError
            For an exponent that is not above 0 and finite, a kernel larger than the padded {input}, or a window
            that would hold padding only.

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.lp_pool1d(np.array([[[3.0, -4.0, 0.0, 1.0]]]), 2, 2)
        array([[[5., 1.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.lp_pool2d(np.array([[[[3.0, 0.0], [0.0, -4.0]]]]), 2, 2)
        array([[[[5.]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.lp_pool3d(np.array([[[[[3.0, 0.0], [0.0, -4.0]]]]]), 2, (1, 2, 2))
        array([[[[[5.]]]]])
        """
        return op(x, norm_type, kernel_size, stride, ceil_mode, padding, dilation)

    return lp_pool


lp_pool1d, lp_pool2d, lp_pool3d = ranks("lp_pool{rank}d", _lp_pool, _plan, ("x",))


def _lp_pool_backward(op: Call) -> Callable[..., Any]:
    def lp_pool_backward(
        dy: Constant,
        x: Constant,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
        *,
        padding: Padding = 0,
        dilation: Ints = 1,
    ) -> Array:
        """Gradient of `{op}`: ``dx += dy * sign(x) * (|x| / y) ** (p - 1)``.

        Parameters
        ----------
        dy : array_like, shape (n, c, {out})
            The gradient of the output.
        x : array_like, shape (n, c, {size})
            What `{op}` got.
        norm_type, kernel_size, stride, ceil_mode, padding, dilation
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
        >>> F.lp_pool1d_backward(np.array([[[5.0]]]), np.array([[[3.0, -4.0]]]), 2, 2)
        array([[[ 3., -4.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.lp_pool2d_backward(np.array([[[[5.0]]]]), np.array([[[[3.0, 0.0], [0.0, -4.0]]]]), 2, 2)
        array([[[[ 3.,  0.],
                 [ 0., -4.]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> x = np.array([[[[[3.0, 0.0], [0.0, -4.0]]]]])
        >>> F.lp_pool3d_backward(np.array([[[[[5.0]]]]]), x, 2, (1, 2, 2))
        array([[[[[ 3.,  0.],
                  [ 0., -4.]]]]])
        """
        return op(dy, x, norm_type, kernel_size, stride, ceil_mode, padding, dilation)

    return lp_pool_backward


lp_pool1d_backward, lp_pool2d_backward, lp_pool3d_backward = ranks(
    "lp_pool{rank}d_backward", _lp_pool_backward, _gradient_plan
)
