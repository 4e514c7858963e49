"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array, Constant, Value
from ..autograd.core import unboxed
from ..autograd.tensors import use_product
from ..checks import ALL
from ._gradients import Gradients
from ._op import Plan, Tape, operation
from ._tangents import total

__all__ = ["linear", "linear_backward", "matmul", "matmul_backward"]


def linear(x: Value, weight: Value, bias: Value | None = None) -> Value:
    """Fully connected layer: ``y = x @ weight.T + bias``.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., in)
        The inputs, float32 or float64.
    weight : array_like or Tensor, shape (out, in)
        The weights, of the dtype of ``x``.
    bias : array_like or Tensor, shape (out,), optional
        The biases.

    Returns
    -------
    ndarray or Tensor, shape (..., out)
        A tensor if an argument is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.5, 0.0]))
    array([[11.5, 17. ]])
    """
    return _LINEAR(x, weight, bias)


def _linear_plan(x: Any, weight: Any, bias: Any) -> Plan:
    return Plan("linear_forward", checks.linear("linear", x, weight, bias), tape=Tape(_linear_vjp, _linear_jvp))


def _linear_vjp(ops: Any, dy: Array, needs: tuple[bool, ...], x: Array, weight: Array) -> Any:
    return ops.linear_backward(dy, x, weight, needs)


def _linear_jvp(ops: Any, tangents: Any, x: Array, weight: Array, y: Array) -> Any:
    tx, tw, tb = tangents
    by_x = None if tx is None else ops.linear_forward(tx, weight, None)
    by_weight = None if tw is None else ops.linear_forward(x, tw, None)
    return np.broadcast_to(total(by_x, by_weight, tb), y.shape)


_LINEAR = operation("linear", _linear_plan, ("x", "weight", "bias"))


def linear_backward(dy: Constant, x: Constant, weight: Constant, *, needs: tuple[bool, bool, bool] = ALL) -> Gradients:
    """Gradients of `linear`: ``dx = dy @ weight``, ``dweight = dy.T @ x``, ``dbias = dy.sum(0)``.

    Parameters
    ----------
    dy : array_like, shape (..., out)
        The gradient of the output.
    x, weight : array_like
        What `linear` got.
    needs : (bool, bool, bool)
        Which of the three results are wanted. What is not is not computed: the first layer of a network needs no ``dx``.

    Returns
    -------
    dx, dweight, dbias : ndarray or None
        Of the shapes of ``x`` and ``weight``, and ``(out,)``; None for what ``needs`` leaves out.

    Raises
    ------
    TypeError, ValueError
        As `linear`, and if ``dy`` has not the shape of its output or ``needs`` is not three bools.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.linear_backward(np.ones((1, 2)), np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]))
    (array([[ 8., 10.]]), array([[1., 2.],
           [1., 2.]]), array([1., 1.]))
    >>> F.linear_backward(np.ones((1, 2)), np.array([[1.0, 2.0]]), np.ones((2, 2)), needs=(True, False, False))
    (array([[2., 2.]]), None, None)
    """
    return _LINEAR_BACKWARD(dy, x, weight, needs)


def _linear_gradient_plan(*arguments: Any) -> Plan:
    return Plan("linear_backward", checks.linear_backward("linear_backward", *arguments))


_LINEAR_BACKWARD = operation("linear_backward", _linear_gradient_plan)


def matmul(a: Value, b: Value) -> Value:
    """Matrix product ``a @ b`` with NumPy's rules: 1-d operands are vectors, leading axes broadcast.

    Parameters
    ----------
    a : array_like or Tensor, shape (..., m, k) or (k,)
        The left operand, float32 or float64.
    b : array_like or Tensor, shape (..., k, n) or (k,)
        The right operand, of the dtype of ``a``.

    Returns
    -------
    ndarray or Tensor, shape (..., m, n)
        Without the axis of an operand that is a vector; a tensor if an argument is one. Of two vectors that are no tensors
        a NumPy scalar.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        For shapes that don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.matmul(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 2.],
           [3., 4.]])
    >>> F.matmul(np.ones((5, 1, 2, 3)), np.ones((4, 3, 2))).shape
    (5, 4, 2, 2)
    """
    return _MATMUL(a, b)


def _matmul_plan(a: Any, b: Any) -> Plan:
    a, b, batch = checks.matmul("matmul", a, b)
    tape, constants = Tape(_matmul_vjp, _matmul_jvp), {"batch": batch}
    if a.ndim == b.ndim and (a.ndim == 2 or (a.ndim == 3 and len(a) == len(b))):
        return Plan("matmul", (a, b), tape=tape, constants=constants)
    return Plan(_product, (a, b, batch), tape=tape)


def _product(a: Array, b: Array, batch: tuple[int, ...]) -> Array:
    """The product of arrays of any axes."""
    y = backend.current().matmul(*_stacked(*_matrices(a, b), batch))
    return unboxed(y.reshape((*batch, *a.shape[-2:-1], *b.shape[-1:] * (b.ndim > 1))))


def _matmul_jvp(ops: Any, tangents: Any, a: Array, b: Array) -> Any:
    ta, tb = tangents
    return total(None if ta is None else _MATMUL(ta, b), None if tb is None else _MATMUL(a, tb))


_MATMUL = operation("matmul", _matmul_plan, ("a", "b"))
use_product(matmul)


def matmul_backward(dy: Constant, a: Constant, b: Constant) -> tuple[Array, Array]:
    """Gradients of `matmul`: ``da = dy @ b.T``, ``db = a.T @ dy`` of each matrix, summed over axes that were broadcast.

    Parameters
    ----------
    dy : array_like, shape (..., m, n)
        The gradient of the output, of its shape: without the axis of an operand that is a vector.
    a, b : array_like
        What `matmul` got.

    Returns
    -------
    da, db : ndarray
        Of the shapes of ``a`` and ``b``.

    Raises
    ------
    TypeError, ValueError
        As `matmul`, and if ``dy`` has not the shape of its output.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.matmul_backward(np.ones((1, 1)), np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    (array([[3., 4.]]), array([[1.],
           [2.]]))
    >>> da, db = F.matmul_backward(np.ones((5, 2, 4)), np.ones((5, 2, 3)), np.ones((3, 4)))
    >>> da.shape, db.shape
    ((5, 2, 3), (3, 4))
    """
    return _MATMUL_BACKWARD(dy, a, b)


def _matmul_gradient_plan(*arguments: Any) -> Plan:
    return Plan(_matmul_gradients, checks.matmul_backward("matmul_backward", *arguments))


def _matmul_gradients(dy: Array, a: Array, b: Array, batch: tuple[int, ...]) -> Any:
    return _matmul_vjp(backend.current(), dy, (True, True), a, b, batch)


_MATMUL_BACKWARD = operation("matmul_backward", _matmul_gradient_plan)


def _matmul_vjp(ops: Any, dy: Array, needs: tuple[bool, ...], a: Array, b: Array, batch: tuple[int, ...]) -> Any:
    a3, b3 = _stacked(*_matrices(a, b), batch)
    dy3 = dy.reshape(*a3.shape[:-1], b3.shape[-1])
    da = db = None
    if needs[0]:
        da = ops.matmul(dy3, b3, trans_b=True)
    if needs[1]:
        db = ops.matmul(a3, dy3, trans_a=True)
    if (da is None or da.shape == a.shape) and (db is None or db.shape == b.shape):
        return da, db
    am, bm = _matrices(a, b)
    if da is not None:
        da = _summed(da.reshape(*batch, *am.shape[-2:]), am.shape).reshape(a.shape)
    if db is not None:
        db = _summed(db.reshape(*batch * (bm.ndim > 2), *bm.shape[-2:]), bm.shape).reshape(b.shape)
    return da, db


def _matrices(a: Array, b: Array) -> tuple[Array, Array]:
    """Two operands as matrices: a vector on the left becomes a row, one on the right a column."""
    return a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b


def _stacked(a: Array, b: Array, batch: tuple[int, ...]) -> tuple[Array, Array]:
    """Two operands as (count, rows, columns). If b is a matrix, both are matrices: a with all its rows below each other."""
    if b.ndim == 2:
        return a.reshape(math.prod(a.shape[:-1]), a.shape[-1]), b
    count = math.prod(batch)
    a, b = (checks.in_c_order(np.broadcast_to(v, (*batch, *v.shape[-2:]))) for v in (a, b))
    return a.reshape(count, *a.shape[-2:]), b.reshape(count, *b.shape[-2:])


def _summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an operand of this shape, from that of the broadcast operand: summed over what was repeated."""
    new = gradient.ndim - len(shape)
    repeated = [i + new for i, extent in enumerate(shape) if extent == 1 and gradient.shape[i + new] != 1]
    return np.asarray(gradient.sum(axis=(*range(new), *repeated))).reshape(shape)
