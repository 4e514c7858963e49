"""L_p pooling in one, two and three dimensions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, planned, register
from ..checks import Pool
from ._gradients import register_gradient
from ._spatial import sections
from ._tangents import of_lp_pool

__all__ = [
    "lp_pool1d",
    "lp_pool1d_backward",
    "lp_pool2d",
    "lp_pool2d_backward",
    "lp_pool3d",
    "lp_pool3d_backward",
]

Array = np.ndarray[Any, Any]


def _lp_pool(
    op: str, rank: int, x: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: bool, padding: Any
) -> Any:
    g, x_ = checks.pool(op, rank, raw(x), kernel_size, stride, padding, 1, ceil_mode)
    p = checks.real(op, "norm_type", norm_type, 0.0, open_low=True)
    ops = backend.current()
    y = ops.lp_pool_forward(g, x_, p)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.lp_pool_backward(g, dy, x_, y, p),)

    def jvp(tangents: Any) -> Array:
        return of_lp_pool(g, tangents[0], x_, y, p)

    return record(op, y, (x,), vjp, jvp)


def _lp_pool_plan(
    op: str, rank: int, x: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: Any, padding: Any
) -> Plan:
    g, x = checks.pool(op, rank, x, kernel_size, stride, padding, 1, ceil_mode)
    return Plan("lp_pool_forward", (g, x, checks.real(op, "norm_type", norm_type, 0.0, open_low=True)))


for _rank in (1, 2, 3):
    _name = f"lp_pool{_rank}d"
    register(_name, partial(_lp_pool, _name, _rank), partial(_lp_pool_plan, _name, _rank))


def _checked_gradient(
    op: str, rank: int, dy: Any, x: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: Any, padding: Any
) -> tuple[Pool, Array, Array, float]:
    x = checks.array(op, "x", x)
    g, dy = checks.pool_backward(op, rank, dy, x, kernel_size, stride, padding, 1, ceil_mode)
    checks.same_dtype(op, "x", x, dy.dtype, "dy")
    return g, dy, x, checks.real(op, "norm_type", norm_type, 0.0, open_low=True)


def _gradient(g: Pool, dy: Array, x: Array, p: float) -> Array:
    ops = backend.current()
    return ops.lp_pool_backward(g, dy, x, ops.lp_pool_forward(g, x, p), p)  # type: ignore[no-any-return]


for _rank in (1, 2, 3):
    _name = f"lp_pool{_rank}d_backward"
    register_gradient(_name, partial(_checked_gradient, _name, _rank), _gradient)


_FORWARD = """
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
"""

_BACKWARD = """
Parameters
----------
dy : array_like, shape (n, c, {out})
    The gradient of the output.
x : array_like, shape (n, c, {size})
    What `{op}` got.
norm_type, kernel_size, stride, ceil_mode, padding
    What `{op}` got.

Returns
-------
ndarray, shape (n, c, {size})
    The gradient of ``x``.

Raises
------
TypeError, ValueError
    As `{op}`, and if ``dy`` has not the shape of its output.
"""


@sections(_FORWARD, 1)
def lp_pool1d(
    x: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *, padding: Any = 0
) -> Any:
    """Norm of each window of sequences: ``y = (sum of |x|**p) ** (1 / p)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.lp_pool1d(np.array([[[3.0, -4.0, 0.0, 1.0]]]), 2, 2)
    array([[[5., 1.]]])
    """
    return planned["lp_pool1d"](x, norm_type, kernel_size, stride, ceil_mode, padding)


@sections(_BACKWARD, 1)
def lp_pool1d_backward(
    dy: Any,
    x: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
    *,
    padding: Any = 0,
) -> Array:
    """Gradient of `lp_pool1d`: ``dx += dy * sign(x) * (|x| / y) ** (p - 1)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.lp_pool1d_backward(np.array([[[5.0]]]), np.array([[[3.0, -4.0]]]), 2, 2)
    array([[[ 3., -4.]]])
    """
    return planned["lp_pool1d_backward"](  # type: ignore[no-any-return]
        dy, x, norm_type, kernel_size, stride, ceil_mode, padding
    )


@sections(_FORWARD, 2)
def lp_pool2d(
    x: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *, padding: Any = 0
) -> Any:
    """Norm of each window of images: ``y = (sum of |x|**p) ** (1 / p)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.lp_pool2d(np.array([[[[3.0, 0.0], [0.0, -4.0]]]]), 2, 2)
    array([[[[5.]]]])
    """
    return planned["lp_pool2d"](x, norm_type, kernel_size, stride, ceil_mode, padding)


@sections(_BACKWARD, 2)
def lp_pool2d_backward(
    dy: Any,
    x: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
    *,
    padding: Any = 0,
) -> Array:
    """Gradient of `lp_pool2d`: ``dx += dy * sign(x) * (|x| / y) ** (p - 1)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.lp_pool2d_backward(np.array([[[[5.0]]]]), np.array([[[[3.0, 0.0], [0.0, -4.0]]]]), 2, 2)
    array([[[[ 3.,  0.],
             [ 0., -4.]]]])
    """
    return planned["lp_pool2d_backward"](  # type: ignore[no-any-return]
        dy, x, norm_type, kernel_size, stride, ceil_mode, padding
    )


@sections(_FORWARD, 3)
def lp_pool3d(
    x: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *, padding: Any = 0
) -> Any:
    """Norm of each window of volumes: ``y = (sum of |x|**p) ** (1 / p)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.lp_pool3d(np.array([[[[[3.0, 0.0], [0.0, -4.0]]]]]), 2, (1, 2, 2))
    array([[[[[5.]]]]])
    """
    return planned["lp_pool3d"](x, norm_type, kernel_size, stride, ceil_mode, padding)


@sections(_BACKWARD, 3)
def lp_pool3d_backward(
    dy: Any,
    x: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
    *,
    padding: Any = 0,
) -> Array:
    """Gradient of `lp_pool3d`: ``dx += dy * sign(x) * (|x| / y) ** (p - 1)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x = np.array([[[[[3.0, 0.0], [0.0, -4.0]]]]])
    >>> F.lp_pool3d_backward(np.array([[[[[5.0]]]]]), x, 2, (1, 2, 2))
    array([[[[[ 3.,  0.],
              [ 0., -4.]]]]])
    """
    return planned["lp_pool3d_backward"](  # type: ignore[no-any-return]
        dy, x, norm_type, kernel_size, stride, ceil_mode, padding
    )
