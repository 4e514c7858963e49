"""Adaptive pooling in one, two and three dimensions: the windows follow from the output size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import checks
from .._types import Array, Constant, ShapeLike, Value
from ..checks import AdaptivePool
from ._gradients import maxima_gradient
from ._op import Call, Plan, Tape
from ._spatial import ranks
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


def _avg_plan(op: str, rank: int, x: Any, output_size: Any) -> Plan:
    arguments = checks.adaptive_pool(op, rank, x, output_size)
    return Plan("adaptive_avg_pool_forward", arguments, tape=AVG_TAPE)


def _avg_jvp(ops: Any, tangents: Any, g: AdaptivePool) -> Any:
    return ops.adaptive_avg_pool_forward(g, tangents[0])


AVG_TAPE = Tape("adaptive_avg_pool_backward", _avg_jvp)


def _avg_gradient_plan(op: str, rank: int, *arguments: Any) -> Plan:
    return Plan("adaptive_avg_pool_backward", checks.adaptive_pool_backward(op, rank, *arguments))


def _adaptive_avg_pool(op: Call) -> Callable[..., Any]:
    def adaptive_avg_pool(x: Value, output_size: int | Sequence[int | None] | None) -> Value:
        """Mean of each of ``output_size`` windows of {inputs}.

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

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_avg_pool1d(np.array([[[1.0, 3.0, 5.0]]]), 2)
        array([[[2., 4.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 1)
        array([[[[7.5]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), (1, 1, None))
        array([[[[[3., 4.]]]]])
        """
        return op(x, output_size)

    return adaptive_avg_pool


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = ranks(
    "adaptive_avg_pool{rank}d", _adaptive_avg_pool, _avg_plan, ("x",)
)


def _adaptive_avg_pool_backward(op: Call) -> Callable[..., Any]:
    def adaptive_avg_pool_backward(
        dy: Constant, x_shape: ShapeLike, output_size: int | Sequence[int | None] | None
    ) -> Array:
        """Gradient of `{op}`.

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

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_avg_pool1d_backward(np.array([[[2.0, 4.0]]]), (1, 1, 3), 2)
        array([[[1., 3., 2.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), 1)
        array([[[[0.25, 0.25],
                 [0.25, 0.25]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_avg_pool3d_backward(np.ones((1, 1, 1, 1, 1)), (1, 1, 1, 2, 2), 1)
        array([[[[[0.25, 0.25],
                  [0.25, 0.25]]]]])
        """
        return op(dy, x_shape, output_size)

    return adaptive_avg_pool_backward


adaptive_avg_pool1d_backward, adaptive_avg_pool2d_backward, adaptive_avg_pool3d_backward = ranks(
    "adaptive_avg_pool{rank}d_backward", _adaptive_avg_pool_backward, _avg_gradient_plan
)


def _max_plan(op: str, rank: int, x: Any, output_size: Any, return_indices: Any) -> Plan:
    arguments = checks.adaptive_pool(op, rank, x, output_size)
    if checks.flag(op, "return_indices", return_indices):
        results = ("y", "positions", "index")
        return Plan("adaptive_max_pool_indices", arguments, results, gives=2, tape=_MAX_TAPE)
    return Plan("adaptive_max_pool_forward", arguments, ("y", "index"), tape=_MAX_TAPE)


def _max_jvp(ops: Any, tangents: Any, index: Array) -> Array:
    return at(tangents[0], index)


_MAX_TAPE = Tape("adaptive_max_pool_backward", _max_jvp)


def _max_gradient_plan(op: str, rank: int, dy: Any, x: Any, output_size: Any, indices: Any) -> Plan:
    def check(dy: Any, x: Any) -> Any:
        return checks.adaptive_pool_backward(op, rank, dy, x, output_size)

    return maxima_gradient(op, "adaptive_max_pool_backward", check, _positions, dy, x, indices)


def _positions(ops: Any, g: AdaptivePool, x: Array) -> Array:
    return ops.adaptive_max_pool_forward(g, x)[1]


def _adaptive_max_pool(op: Call) -> Callable[..., Any]:
    def adaptive_max_pool(
        x: Value, output_size: int | Sequence[int | None] | None, return_indices: bool = False
    ) -> Value | tuple[Value, Array]:
        """Maximum of each of ``output_size`` windows of {inputs}.

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

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2, return_indices=True)
        (array([[[3., 5.]]]), array([[[1, 3]]]))
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), (1, 2))
        array([[[[13., 15.]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), (1, 1, 2))
        array([[[[[6., 7.]]]]])
        """
        return op(x, output_size, return_indices)

    return adaptive_max_pool


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = ranks(
    "adaptive_max_pool{rank}d", _adaptive_max_pool, _max_plan, ("x",)
)


def _adaptive_max_pool_backward(op: Call) -> Callable[..., Any]:
    def adaptive_max_pool_backward(
        dy: Constant, x: Constant, output_size: int | Sequence[int | None] | None, indices: Constant | None = None
    ) -> Array:
        """Gradient of `{op}`.

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

        Examples
        --------
        rank 1:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_max_pool1d_backward(np.ones((1, 1, 2)), np.array([[[1.0, 3.0, 2.0]]]), 2)
        array([[[0., 2., 0.]]])
        rank 2:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_max_pool2d_backward(np.ones((1, 1, 1, 1)), np.array([[[[1.0, 3.0], [3.0, 2.0]]]]), 1)
        array([[[[0., 1.],
                 [0., 0.]]]])
        rank 3:
        >>> import numpy as np
        >>> import fastnn.functional as F
        >>> F.adaptive_max_pool3d_backward(np.ones((1, 1, 1, 1, 1)), np.array([[[[[1.0, 3.0], [3.0, 2.0]]]]]), 1)
        array([[[[[0., 1.],
                  [0., 0.]]]]])
        """
        return op(dy, x, output_size, indices)

    return adaptive_max_pool_backward


adaptive_max_pool1d_backward, adaptive_max_pool2d_backward, adaptive_max_pool3d_backward = ranks(
    "adaptive_max_pool{rank}d_backward", _adaptive_max_pool_backward, _max_gradient_plan
)
