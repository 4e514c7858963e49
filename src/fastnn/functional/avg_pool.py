"""Average pooling in one, two and three dimensions."""

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

__all__ = [
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
]

Array = np.ndarray[Any, Any]


def _avg_pool(
    op: str,
    rank: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    g, x_ = checks.pool(op, rank, raw(x), kernel_size, stride, padding, 1, ceil_mode)
    include, divisor = checks.pool_divisor(op, count_include_pad, divisor_override)
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.avg_pool_backward(g, dy, include, divisor),)

    def jvp(tangents: Any) -> Any:
        return ops.avg_pool_forward(g, tangents[0], include, divisor)

    return record(op, ops.avg_pool_forward(g, x_, include, divisor), (x,), vjp, jvp)


def _avg_pool_plan(op: str, rank: int, x: Any, *arguments: Any) -> Plan:
    kernel_size, stride, padding, ceil_mode, *divisor = arguments
    g, x = checks.pool(op, rank, x, kernel_size, stride, padding, 1, ceil_mode)
    return Plan("avg_pool_forward", (g, x, *checks.pool_divisor(op, *divisor)))


for _rank in (1, 2, 3):
    _name = f"avg_pool{_rank}d"
    register(_name, partial(_avg_pool, _name, _rank), partial(_avg_pool_plan, _name, _rank))


def _checked_gradient(
    op: str, rank: int, dy: Any, x_shape: Any, *arguments: Any
) -> tuple[Pool, Array, bool, int | None]:
    kernel_size, stride, padding, ceil_mode, *divisor = arguments
    g, dy = checks.pool_backward(op, rank, dy, x_shape, kernel_size, stride, padding, 1, ceil_mode)
    return g, dy, *checks.pool_divisor(op, *divisor)


for _rank in (1, 2, 3):
    _name = f"avg_pool{_rank}d_backward"
    register_gradient(_name, partial(_checked_gradient, _name, _rank), "avg_pool_backward")


_FORWARD = """
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
"""

_BACKWARD = """
Parameters
----------
dy : array_like, shape (n, c, {out})
    The gradient of the output.
x_shape : tuple of int, or ndarray
    The shape of what `{op}` got, or the array itself.
kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
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
def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window of sequences.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool1d(np.array([[[1.0, 3.0, 5.0]]]), 2, padding=1, count_include_pad=False)
    array([[[1., 4.]]])
    """
    return planned["avg_pool1d"](x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@sections(_BACKWARD, 1)
def avg_pool1d_backward(
    dy: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Gradient of `avg_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool1d_backward(np.array([[[2.0, 4.0]]]), (1, 1, 4), 2)
    array([[[1., 1., 2., 2.]]])
    """
    return planned["avg_pool1d_backward"](  # type: ignore[no-any-return]
        dy, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@sections(_FORWARD, 2)
def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window of images.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    return planned["avg_pool2d"](x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@sections(_BACKWARD, 2)
def avg_pool2d_backward(
    dy: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Gradient of `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), 2)
    array([[[[0.25, 0.25],
             [0.25, 0.25]]]])
    """
    return planned["avg_pool2d_backward"](  # type: ignore[no-any-return]
        dy, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@sections(_FORWARD, 3)
def avg_pool3d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window of volumes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2)
    array([[[[[6.5, 8.5]]]]])
    """
    return planned["avg_pool3d"](x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@sections(_BACKWARD, 3)
def avg_pool3d_backward(
    dy: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Gradient of `avg_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool3d_backward(np.ones((1, 1, 1, 1, 1)), (1, 1, 2, 1, 2), (2, 1, 2))
    array([[[[[0.25, 0.25]],
    <BLANKLINE>
             [[0.25, 0.25]]]]])
    """
    return planned["avg_pool3d_backward"](  # type: ignore[no-any-return]
        dy, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
