"""Max and average pooling in one and two dimensions (SPEC A4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import is_grad_enabled, raw, record
from ._tangents import at

__all__ = [
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
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
        return (ops.max_pool_backward(g, dy, index),)

    def jvp(tangents: Any) -> Array:
        taps = ops.max_pool_forward(g, x_, True)[1] if index is None else index
        return at(tangents[0], checks.pool_positions(g, taps))

    y = record(op, y, (x,), vjp, jvp)
    return (y, checks.pool_positions(g, index)) if return_indices else y


def _max_pool_backward(
    op: str,
    rank: int,
    dy: Any,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    indices: Any,
) -> Array:
    dy, x = raw(dy), raw(x)
    if indices is None:
        x = checks.array(op, "x", x)
    g, dy = checks.pool_backward(op, rank, dy, x, kernel_size, stride, padding, dilation, ceil_mode)
    ops = backend.current()
    if indices is not None:
        index = checks.pool_taps(op, g, dy.shape, indices)
    else:
        checks.same_dtype(op, "x", x, dy.dtype)
        index = ops.max_pool_forward(g, x, True)[1]
    return ops.max_pool_backward(g, dy, index)  # type: ignore[no-any-return]


def _avg_pool(
    op: str,
    rank: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Any:
    g, x_ = checks.pool(op, rank, raw(x), kernel_size, stride, padding, 1, ceil_mode)
    include = checks.flag(op, "count_include_pad", count_include_pad)
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.avg_pool_backward(g, dy, include),)

    def jvp(tangents: Any) -> Any:
        return ops.avg_pool_forward(g, tangents[0], include)

    return record(op, ops.avg_pool_forward(g, x_, include), (x,), vjp, jvp)


def _avg_pool_backward(
    op: str,
    rank: int,
    dy: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Array:
    g, dy = checks.pool_backward(op, rank, raw(dy), raw(x_shape), kernel_size, stride, padding, 1, ceil_mode)
    include = checks.flag(op, "count_include_pad", count_include_pad)
    return backend.current().avg_pool_backward(g, dy, include)  # type: ignore[no-any-return]


def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window; NaN if the window holds one (SPEC A4).

    Parameters
    ----------
    x : array_like or Tensor, shape (n, c, h, w)
        The images, float32 or float64.
    kernel_size : int or (int, int)
        Size of the window.
    stride : int or (int, int), optional
        Step of the window; its size by default, less makes windows overlap.
    padding : int, (int, int), ((int, int), (int, int)) or str
        Border that belongs to no image and never wins, in the forms of `conv2d`. Every window must hold an
        element of ``x``.
    dilation : int or (int, int)
        Step between the taps of a window.
    ceil_mode : bool
        Round the output size up: a last window may overhang the padded image if it starts inside it and
        not in the high padding. In this mode alone a kernel may be larger than the padded image.
    return_indices : bool
        Also return where each maximum was.

    Returns
    -------
    y : ndarray or Tensor, shape (n, c, oh, ow)
        The maxima; a tensor if ``x`` is one. Among equals the first counts and gets the gradient.
    indices : ndarray of int64, shape (n, c, oh, ow)
        Flat positions ``row * w + column`` in the image; with ``return_indices`` only.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For a kernel larger than the padded image, or a window that would hold padding only.

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
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


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
    """Gradient of `max_pool2d` (SPEC A4).

    Parameters
    ----------
    dy : array_like, shape (n, c, oh, ow)
        The gradient of the output.
    x : array_like, shape (n, c, h, w)
        What `max_pool2d` got; where ``indices`` are given its shape is enough.
    kernel_size, stride, padding, dilation, ceil_mode
        What `max_pool2d` got.
    indices : array_like of int, optional
        What `max_pool2d` returned with ``return_indices=True``; without them they are computed again.

    Returns
    -------
    ndarray, shape (n, c, h, w)
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`, if ``dy`` has not the shape of its output, and if an index lies outside its window.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.max_pool2d_backward(np.ones((1, 1, 1, 1)), np.array([[[[1.0, 3.0], [3.0, 2.0]]]]), 2)
    array([[[[0., 1.],
             [0., 0.]]]])
    """
    return _max_pool_backward(
        "max_pool2d_backward", 2, dy, x, kernel_size, stride, padding, dilation, ceil_mode, indices
    )


def max_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window of sequences (n, c, w): `max_pool2d` with one spatial axis (SPEC A4).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0, 4.0]]]), 2, ceil_mode=True)
    array([[[3., 5., 4.]]])
    """
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


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
    """Gradient of `max_pool1d`, as `max_pool2d_backward` (SPEC A4).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.max_pool1d_backward(np.ones((1, 1, 2)), np.array([[[1.0, 3.0, 2.0]]]), 2, stride=1)
    array([[[0., 2., 0.]]])
    """
    return _max_pool_backward(
        "max_pool1d_backward", 1, dy, x, kernel_size, stride, padding, dilation, ceil_mode, indices
    )


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Mean of each window (SPEC A4).

    Parameters
    ----------
    x : array_like or Tensor, shape (n, c, h, w)
        The images, float32 or float64.
    kernel_size : int or (int, int)
        Size of the window.
    stride : int or (int, int), optional
        Step of the window; its size by default.
    padding : int, (int, int), ((int, int), (int, int)) or str
        Zeros around the image, in the forms of `conv2d`. Every window must hold an element of ``x``.
    ceil_mode : bool
        Round the output size up, as in `max_pool2d`.
    count_include_pad : bool
        Whether padding counts in the divisor. What overhangs the padded image (``ceil_mode``) never does.

    Returns
    -------
    ndarray or Tensor, shape (n, c, oh, ow)
        The means; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For a kernel larger than the padded image, or a window that would hold padding only.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d_backward(
    dy: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Gradient of `avg_pool2d` (SPEC A4).

    Parameters
    ----------
    dy : array_like, shape (n, c, oh, ow)
        The gradient of the output.
    x_shape : tuple of int, or ndarray
        The shape of what `avg_pool2d` got, or the array itself.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        What `avg_pool2d` got.

    Returns
    -------
    ndarray, shape (n, c, h, w)
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `avg_pool2d`, and if ``dy`` has not the shape of its output.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), 2)
    array([[[[0.25, 0.25],
             [0.25, 0.25]]]])
    """
    return _avg_pool_backward(
        "avg_pool2d_backward", 2, dy, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad
    )


def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Mean of each window of sequences (n, c, w): `avg_pool2d` with one spatial axis (SPEC A4).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool1d(np.array([[[1.0, 3.0, 5.0]]]), 2, padding=1, count_include_pad=False)
    array([[[1., 4.]]])
    """
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool1d_backward(
    dy: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Gradient of `avg_pool1d`, as `avg_pool2d_backward` (SPEC A4).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.avg_pool1d_backward(np.array([[[2.0, 4.0]]]), (1, 1, 4), 2)
    array([[[1., 1., 2., 2.]]])
    """
    return _avg_pool_backward(
        "avg_pool1d_backward", 1, dy, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad
    )
