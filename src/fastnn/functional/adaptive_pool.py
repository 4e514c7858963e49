"""Adaptive pooling in one, two and three dimensions: the windows follow from the output size."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..backend.plans import Plan, planned, register
from ..checks import AdaptivePool
from ._gradients import register_gradient, register_maxima_gradient
from ._spatial import sections
from ._tangents import at

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_backward",
]

Array = np.ndarray[Any, Any]


def _adaptive_avg_pool(op: str, rank: int, x: Any, output_size: Any) -> Any:
    g, x_ = checks.adaptive_pool(op, rank, raw(x), output_size)
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.adaptive_avg_pool_backward(g, dy),)

    def jvp(tangents: Any) -> Any:
        return ops.adaptive_avg_pool_forward(g, tangents[0])

    return record(op, ops.adaptive_avg_pool_forward(g, x_), (x,), vjp, jvp)


def _adaptive_avg_pool_plan(op: str, rank: int, *arguments: Any) -> Plan:
    return Plan("adaptive_avg_pool_forward", checks.adaptive_pool(op, rank, *arguments))


for _rank in (1, 2, 3):
    _name = f"adaptive_avg_pool{_rank}d"
    register(_name, partial(_adaptive_avg_pool, _name, _rank), partial(_adaptive_avg_pool_plan, _name, _rank))


for _rank in (1, 2, 3):
    _name = f"adaptive_avg_pool{_rank}d_backward"
    register_gradient(_name, partial(checks.adaptive_pool_backward, _name, _rank), "adaptive_avg_pool_backward")


def _adaptive_max_pool(op: str, rank: int, x: Any, output_size: Any, return_indices: bool) -> Any:
    g, x_ = checks.adaptive_pool(op, rank, raw(x), output_size)
    return_indices = checks.flag(op, "return_indices", return_indices)
    ops = backend.current()
    y, index = ops.adaptive_max_pool_forward(g, x_)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.adaptive_max_pool_backward(g, dy, index),)

    def jvp(tangents: Any) -> Array:
        return at(tangents[0], index)

    y = record(op, y, (x,), vjp, jvp)
    return (y, index.astype(np.int64)) if return_indices else y


def _adaptive_max_pool_plan(op: str, rank: int, x: Any, output_size: Any, return_indices: Any) -> Plan:
    arguments = checks.adaptive_pool(op, rank, x, output_size)
    if checks.flag(op, "return_indices", return_indices):
        return Plan("adaptive_max_pool_indices", arguments)
    return Plan("adaptive_max_pool_forward", arguments, first=True)


for _rank in (1, 2, 3):
    _name = f"adaptive_max_pool{_rank}d"
    register(_name, partial(_adaptive_max_pool, _name, _rank), partial(_adaptive_max_pool_plan, _name, _rank))


def _checked_gradient(
    op: str, rank: int, dy: Any, x: Any, output_size: Any, indices: Any
) -> tuple[AdaptivePool, Array, Array | None, Array | None]:
    """The geometry, dy, and x or else the positions of the maxima."""
    if indices is None:
        x = checks.array(op, "x", x)
    g, dy = checks.adaptive_pool_backward(op, rank, dy, x, output_size)
    if indices is not None:
        return g, dy, None, checks.pool_indices(op, dy.shape, indices)
    checks.same_dtype(op, "x", x, dy.dtype, "dy")
    return g, dy, x, None


def _positions(ops: Any, g: AdaptivePool, x: Array) -> Array:
    return ops.adaptive_max_pool_forward(g, x)[1]  # type: ignore[no-any-return]


for _rank in (1, 2, 3):
    _name = f"adaptive_max_pool{_rank}d_backward"
    _checked = partial(_checked_gradient, _name, _rank)
    register_maxima_gradient(_name, _checked, "adaptive_max_pool_backward", _positions)


_AVG = """
Output i of an axis covers inputs ``floor(i * size / out)`` to ``ceil((i + 1) * size / out)``; size 1 is global
average pooling.

Parameters
----------
x : array_like or Tensor, shape (n, c, {size})
    The {inputs}, float32 or float64.
output_size : {sizes}
    Size of the output; None keeps that of ``x``.

Returns
-------
ndarray or Tensor, shape (n, c, {out})
    The means; a tensor if ``x`` is one.

Raises
------
TypeError
    For a dtype other than float32 and float64.
ValueError
    For a wrong shape, or an output size below 1.
"""

_AVG_BACKWARD = """
Parameters
----------
dy : array_like, shape (n, c, {out})
    The gradient of the output.
x_shape : tuple of int, or ndarray
    The shape of what `{op}` got, or the array itself.
output_size
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

_MAX = """
The windows are those of `adaptive_avg_pool2d`; size 1 is global max pooling.

Parameters
----------
x : array_like or Tensor, shape (n, c, {size})
    The {inputs}, float32 or float64.
output_size : {sizes}
    Size of the output; None keeps that of ``x``.
return_indices : bool
    Also return where each maximum was.

Returns
-------
y : ndarray or Tensor, shape (n, c, {out})
    The maxima, NaN where a window holds one; a tensor if ``x`` is one. Among equals the first counts.
indices : ndarray of int64, shape (n, c, {out})
    Flat positions ``{position}`` in the {input}; with ``return_indices`` only.

Raises
------
TypeError
    For a dtype other than float32 and float64.
ValueError
    For a wrong shape, or an output size below 1.
"""

_MAX_BACKWARD = """
Parameters
----------
dy : array_like, shape (n, c, {out})
    The gradient of the output.
x : array_like, shape (n, c, {size})
    What `{op}` got; where ``indices`` are given its shape is enough.
output_size
    What `{op}` got.
indices : array_like of int, optional
    What `{op}` returned with ``return_indices=True``; else they are computed again.

Returns
-------
ndarray, shape (n, c, {size})
    The gradient of ``x``.

Raises
------
TypeError, ValueError
    As `{op}`, if ``dy`` has not the shape of its output, and if an index lies outside its window.
"""


@sections(_AVG, 1)
def adaptive_avg_pool1d(x: Any, output_size: Any) -> Any:
    """Mean of each of ``output_size`` windows of sequences.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_avg_pool1d(np.array([[[1.0, 3.0, 5.0]]]), 2)
    array([[[2., 4.]]])
    """
    return planned["adaptive_avg_pool1d"](x, output_size)


@sections(_AVG_BACKWARD, 1)
def adaptive_avg_pool1d_backward(dy: Any, x_shape: Any, output_size: Any) -> Array:
    """Gradient of `adaptive_avg_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_avg_pool1d_backward(np.array([[[2.0, 4.0]]]), (1, 1, 3), 2)
    array([[[1., 3., 2.]]])
    """
    return planned["adaptive_avg_pool1d_backward"](dy, x_shape, output_size)  # type: ignore[no-any-return]


@sections(_AVG, 2)
def adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    """Mean of each of ``output_size`` windows of images.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 1)
    array([[[[7.5]]]])
    """
    return planned["adaptive_avg_pool2d"](x, output_size)


@sections(_AVG_BACKWARD, 2)
def adaptive_avg_pool2d_backward(dy: Any, x_shape: Any, output_size: Any) -> Array:
    """Gradient of `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), 1)
    array([[[[0.25, 0.25],
             [0.25, 0.25]]]])
    """
    return planned["adaptive_avg_pool2d_backward"](dy, x_shape, output_size)  # type: ignore[no-any-return]


@sections(_AVG, 3)
def adaptive_avg_pool3d(x: Any, output_size: Any) -> Any:
    """Mean of each of ``output_size`` windows of volumes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), (1, 1, None))
    array([[[[[3., 4.]]]]])
    """
    return planned["adaptive_avg_pool3d"](x, output_size)


@sections(_AVG_BACKWARD, 3)
def adaptive_avg_pool3d_backward(dy: Any, x_shape: Any, output_size: Any) -> Array:
    """Gradient of `adaptive_avg_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_avg_pool3d_backward(np.ones((1, 1, 1, 1, 1)), (1, 1, 1, 2, 2), 1)
    array([[[[[0.25, 0.25],
              [0.25, 0.25]]]]])
    """
    return planned["adaptive_avg_pool3d_backward"](dy, x_shape, output_size)  # type: ignore[no-any-return]


@sections(_MAX, 1)
def adaptive_max_pool1d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum of each of ``output_size`` windows of sequences.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2, return_indices=True)
    (array([[[3., 5.]]]), array([[[1, 3]]]))
    """
    return planned["adaptive_max_pool1d"](x, output_size, return_indices)


@sections(_MAX_BACKWARD, 1)
def adaptive_max_pool1d_backward(dy: Any, x: Any, output_size: Any, indices: Any = None) -> Array:
    """Gradient of `adaptive_max_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_max_pool1d_backward(np.ones((1, 1, 2)), np.array([[[1.0, 3.0, 2.0]]]), 2)
    array([[[0., 2., 0.]]])
    """
    return planned["adaptive_max_pool1d_backward"](dy, x, output_size, indices)  # type: ignore[no-any-return]


@sections(_MAX, 2)
def adaptive_max_pool2d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum of each of ``output_size`` windows of images.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), (1, 2))
    array([[[[13., 15.]]]])
    """
    return planned["adaptive_max_pool2d"](x, output_size, return_indices)


@sections(_MAX_BACKWARD, 2)
def adaptive_max_pool2d_backward(dy: Any, x: Any, output_size: Any, indices: Any = None) -> Array:
    """Gradient of `adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_max_pool2d_backward(np.ones((1, 1, 1, 1)), np.array([[[[1.0, 3.0], [3.0, 2.0]]]]), 1)
    array([[[[0., 1.],
             [0., 0.]]]])
    """
    return planned["adaptive_max_pool2d_backward"](dy, x, output_size, indices)  # type: ignore[no-any-return]


@sections(_MAX, 3)
def adaptive_max_pool3d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum of each of ``output_size`` windows of volumes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), (1, 1, 2))
    array([[[[[6., 7.]]]]])
    """
    return planned["adaptive_max_pool3d"](x, output_size, return_indices)


@sections(_MAX_BACKWARD, 3)
def adaptive_max_pool3d_backward(dy: Any, x: Any, output_size: Any, indices: Any = None) -> Array:
    """Gradient of `adaptive_max_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.adaptive_max_pool3d_backward(np.ones((1, 1, 1, 1, 1)), np.array([[[[[1.0, 3.0], [3.0, 2.0]]]]]), 1)
    array([[[[[0., 1.],
              [0., 0.]]]]])
    """
    return planned["adaptive_max_pool3d_backward"](dy, x, output_size, indices)  # type: ignore[no-any-return]
