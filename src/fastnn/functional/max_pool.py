"""Max pooling in one, two and three dimensions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import is_grad_enabled, raw, record
from ..backend.plans import Plan, Tape, planned, register
from ..checks import Pool
from ._gradients import register_maxima_gradient
from ._spatial import sections
from ._tangents import at

__all__ = [
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool3d",
    "max_pool3d_backward",
]

Array = np.ndarray[Any, Any]


def _max_pool(
    op: str,
    rank: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    g, x_ = checks.pool(op, rank, raw(x), kernel_size, stride, padding, dilation, ceil_mode)
    return_indices = checks.flag(op, "return_indices", return_indices)
    ops = backend.current()
    recorded = getattr(x, "requires_grad", False) and is_grad_enabled()
    y, index = ops.max_pool_forward(g, x_, return_indices or recorded)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return _max_pool_vjp(ops, dy, needs, g, index)

    def jvp(tangents: Any) -> Array:
        taps = ops.max_pool_forward(g, x_, True)[1] if index is None else index
        return at(tangents[0], ops.max_pool_positions(g, taps))

    y = record(op, y, (x,), vjp, jvp)
    return (y, ops.max_pool_positions(g, index)) if return_indices else y


def _max_pool_plan(op: str, rank: int, x: Any, *arguments: Any) -> Plan:
    *windows, return_indices = arguments
    g, x = checks.pool(op, rank, x, *windows)
    if checks.flag(op, "return_indices", return_indices):
        return Plan("max_pool_indices", (g, x))
    return Plan("max_pool_forward", (g, x, False), first=True)


def _max_pool_vjp(ops: Any, dy: Array, needs: tuple[bool, ...], g: Pool, index: Array) -> tuple[Array]:
    return (ops.max_pool_backward(g, dy, index),)


def _recorded_plan(op: str, rank: int, x: Any, *arguments: Any) -> Plan | None:
    *windows, return_indices = arguments
    g, x = checks.pool(op, rank, x, *windows)
    if checks.flag(op, "return_indices", return_indices):
        return None
    return Plan("max_pool_forward", (g, x, True), first=True, tape=Tape(_max_pool_vjp, (0, 4)))


for _rank in (1, 2, 3):
    _name = f"max_pool{_rank}d"
    _plans = partial(_max_pool_plan, _name, _rank), partial(_recorded_plan, _name, _rank)
    register(_name, partial(_max_pool, _name, _rank), *_plans, (0,))


def _checked_gradient(
    op: str, rank: int, dy: Any, x: Any, *arguments: Any
) -> tuple[Pool, Array, Array | None, Array | None]:
    """The geometry, dy, and x or else the positions of the maxima."""
    *windows, indices = arguments
    if indices is None:
        x = checks.array(op, "x", x)
    g, dy = checks.pool_backward(op, rank, dy, x, *windows)
    if indices is not None:
        return g, dy, None, checks.pool_indices(op, dy.shape, indices)
    checks.same_dtype(op, "x", x, dy.dtype, "dy")
    return g, dy, x, None


def _taps(ops: Any, g: Pool, x: Array) -> Array:
    return ops.max_pool_forward(g, x, True)[1]  # type: ignore[no-any-return]


for _rank in (1, 2, 3):
    _name = f"max_pool{_rank}d_backward"
    register_maxima_gradient(_name, partial(_checked_gradient, _name, _rank), "max_pool_backward", _taps)


_FORWARD = """
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
"""

_BACKWARD = """
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
"""


@sections(_FORWARD, 1)
def max_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window of sequences; NaN if the window holds one.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0, 4.0]]]), 2, ceil_mode=True)
    array([[[3., 5., 4.]]])
    """
    return planned["max_pool1d"](x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@sections(_BACKWARD, 1)
def max_pool1d_backward(
    dy: Any,
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    indices: Any = None,
) -> Array:
    """Gradient of `max_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.max_pool1d_backward(np.ones((1, 1, 2)), np.array([[[1.0, 3.0, 2.0]]]), 2, stride=1)
    array([[[0., 2., 0.]]])
    """
    return planned["max_pool1d_backward"](  # type: ignore[no-any-return]
        dy, x, kernel_size, stride, padding, dilation, ceil_mode, indices
    )


@sections(_FORWARD, 2)
def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window of images; NaN if the window holds one.

    Examples
    --------
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
    """
    return planned["max_pool2d"](x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@sections(_BACKWARD, 2)
def max_pool2d_backward(
    dy: Any,
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    indices: Any = None,
) -> Array:
    """Gradient of `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.max_pool2d_backward(np.ones((1, 1, 1, 1)), np.array([[[[1.0, 3.0], [3.0, 2.0]]]]), 2)
    array([[[[0., 1.],
             [0., 0.]]]])
    """
    return planned["max_pool2d_backward"](  # type: ignore[no-any-return]
        dy, x, kernel_size, stride, padding, dilation, ceil_mode, indices
    )


@sections(_FORWARD, 3)
def max_pool3d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window of volumes; NaN if the window holds one.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.max_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2)
    array([[[[[13., 15.]]]]])
    """
    return planned["max_pool3d"](x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@sections(_BACKWARD, 3)
def max_pool3d_backward(
    dy: Any,
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    indices: Any = None,
) -> Array:
    """Gradient of `max_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x = np.array([[[[[1.0, 3.0]], [[4.0, 2.0]]]]])
    >>> F.max_pool3d_backward(np.ones((1, 1, 1, 1, 1)), x, (2, 1, 2))
    array([[[[[0., 0.]],
    <BLANKLINE>
             [[1., 0.]]]]])
    """
    return planned["max_pool3d_backward"](  # type: ignore[no-any-return]
        dy, x, kernel_size, stride, padding, dilation, ceil_mode, indices
    )
