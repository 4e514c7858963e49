"""Padding: what is put around an array."""

from __future__ import annotations

from typing import Any

from .. import checks
from .._types import Array, Constant, PadMode, ShapeLike, Sides, Value
from ._op import Plan, Tape, operation

__all__ = ["pad", "pad_backward"]


def pad(x: Value, padding: Sides, mode: PadMode = "constant", value: float = 0.0) -> Value:
    """Put elements before and after an array along its axes; negative amounts cut elements off.

    Parameters
    ----------
    x : array_like or Tensor, any shape
        float32 or float64.
    padding : sequence of int, or of (int, int)
        Two forms. Ints count from the last axis to the first, as in PyTorch: ``(left, right)``,
        ``(left, right, top, bottom)``; axes in front of those are left alone. Pairs ``(before, after)`` are in the order of
        the axes, one for each, as in `numpy.pad`. What is negative is cut off first, and what is left is padded.
    mode : {"constant", "reflect", "replicate", "circular"}
        What is put there: ``value``; the elements mirrored at the outermost one, which is not repeated; the outermost
        element; or the elements of the other end. In `numpy.pad` these are called constant, reflect, edge and wrap. As
        there, amounts may be larger than the axis: mirrored and circular elements then repeat.
    value : float
        What padding holds in the mode "constant"; also infinite or NaN.

    Returns
    -------
    ndarray or Tensor
        Of the extents ``before + size + after``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or padding of another form: a single int, too.
    ValueError
        For padding of more axes than there are, more cut off than there is, an axis without elements that a mode would
        have to copy, or a ``value`` in other modes than "constant".

    Notes
    -----
    PyTorch reflects by less than the axis, and takes at most the axis for a circular one.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.pad(np.array([[1.0, 2.0, 3.0]]), (2, 1), "reflect")
    array([[3., 2., 1., 2., 3., 2.]])
    >>> F.pad(np.array([[1.0, 2.0, 3.0]]), ((0, 1), (-1, 1)), value=9.0)
    array([[2., 3., 9.],
           [9., 9., 9.]])
    """
    return _PAD(x, padding, mode, value)


def _plan(x: Any, padding: Any, mode: Any, value: Any) -> Plan:
    return Plan("pad_forward", checks.pad("pad", x, padding, mode, value), tape=Tape("pad_backward", _jvp))


def _jvp(ops: Any, tangents: Any, g: checks.Pad) -> Any:
    return ops.pad_forward(g, tangents[0], 0.0)


_PAD = operation("pad", _plan, ("x",))


def pad_backward(dy: Constant, x_shape: ShapeLike, padding: Sides, mode: PadMode = "constant") -> Array:
    """Gradient of `pad`: of each element the sum of ``dy`` over the places that it was copied to.

    Parameters
    ----------
    dy : array_like
        The gradient of the output.
    x_shape : tuple of int, or ndarray
        The shape of what `pad` got, or the array itself.
    padding, mode
        What `pad` got.

    Returns
    -------
    ndarray
        The gradient of ``x``, 0 for what was cut off; the same bits for every number of threads.

    Raises
    ------
    TypeError, ValueError
        As `pad`, and if ``dy`` has not the shape of its output.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.pad_backward(np.array([[1.0, 10.0, 100.0, 1000.0]]), (1, 2), (1, 1), "replicate")
    array([[  11., 1100.]])
    """
    return _PAD_BACKWARD(dy, x_shape, padding, mode)


def _gradient_plan(dy: Any, x_shape: Any, padding: Any, mode: Any) -> Plan:
    return Plan("pad_backward", checks.pad_backward("pad_backward", dy, x_shape, padding, mode))


_PAD_BACKWARD = operation("pad_backward", _gradient_plan)
