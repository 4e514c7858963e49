"""Matrix products."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from .. import backend, checks
from ..autograd import raw, record
from ..autograd.tensors import use_product
from ..backend.plans import Plan, Tape, planned, register, unboxed
from ..checks import ALL
from ._gradients import Gradients, register_gradient
from ._tangents import total

__all__ = ["linear", "linear_backward", "matmul", "matmul_backward"]

Array = np.ndarray[Any, Any]


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
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
    return planned["linear"](x, weight, bias)


def _linear(x: Any, weight: Any, bias: Any) -> Any:
    x_, w_, b_ = checks.linear("linear", raw(x), raw(weight), raw(bias))
    ops = backend.current()
    x2 = x_.reshape(-1, x_.shape[-1])

    def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
        return _linear_vjp(ops, dy, needs, x_, w_)

    shape = (*x_.shape[:-1], w_.shape[0])

    def jvp(tangents: Any) -> Any:
        tx, tw, tb = tangents
        by_x = None if tx is None else ops.linear_forward(tx.reshape(x2.shape), w_, None)
        by_weight = None if tw is None else ops.linear_forward(x2, tw, None)
        return np.broadcast_to(total(by_x, by_weight, tb), (x2.shape[0], w_.shape[0])).reshape(shape)

    return record("linear", ops.linear_forward(x_, w_, b_), (x, weight, bias), vjp, jvp)


def _linear_vjp(ops: Any, dy: Array, needs: tuple[bool, ...], x: Array, weight: Array) -> Any:
    return ops.linear_backward(dy, x, weight, needs)


def _linear_plan(*arguments: Any) -> Plan:
    return Plan("linear_forward", checks.linear("linear", *arguments), tape=Tape(_linear_vjp, (0, 1)))


register("linear", _linear, _linear_plan, _linear_plan)


def linear_backward(dy: Any, x: Any, weight: Any, *, needs: tuple[bool, bool, bool] = ALL) -> Gradients:
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
    return planned["linear_backward"](dy, x, weight, needs)  # type: ignore[no-any-return]


register_gradient("linear_backward", partial(checks.linear_backward, "linear_backward"), "linear_backward")


def matmul(a: Any, b: Any) -> Any:
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
    return planned["matmul"](a, b)


def _matmul(a: Any, b: Any) -> Any:
    a_, b_, batch = checks.matmul("matmul", raw(a), raw(b))
    ops = backend.current()
    stacked = _stacked(*_matrices(a_, b_), batch)

    def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
        return _product_gradients(ops, dy, needs, a_, b_, batch, stacked)

    y = ops.matmul(*stacked).reshape((*batch, *a_.shape[-2:-1], *b_.shape[-1:] * (b_.ndim > 1)))

    def jvp(tangents: Any) -> Any:
        ta, tb = tangents
        return total(None if ta is None else matmul(ta, b_), None if tb is None else matmul(a_, tb))

    return unboxed(record("matmul", y, (a, b), vjp, jvp))


def _matmul_plan(*arguments: Any) -> Plan | None:
    a, b, _ = checks.matmul("matmul", *arguments)
    matrices = a.ndim == b.ndim and (a.ndim == 2 or (a.ndim == 3 and len(a) == len(b)))
    return Plan("matmul", (a, b)) if matrices else None


register("matmul", _matmul, _matmul_plan)
use_product(matmul)


def matmul_backward(dy: Any, a: Any, b: Any) -> tuple[Array, Array]:
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
    return planned["matmul_backward"](dy, a, b)  # type: ignore[no-any-return]


def _matmul_gradients(dy: Array, a: Array, b: Array, batch: tuple[int, ...]) -> Any:
    stacked = _stacked(*_matrices(a, b), batch)
    return _product_gradients(backend.current(), dy, (True, True), a, b, batch, stacked)


register_gradient("matmul_backward", partial(checks.matmul_backward, "matmul_backward"), _matmul_gradients)


def _product_gradients(
    ops: Any,
    dy: Array,
    needs: tuple[bool, ...],
    a: Array,
    b: Array,
    batch: tuple[int, ...],
    stacked: tuple[Array, Array],
) -> Any:
    a3, b3 = stacked
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
    """Both with rows and columns: a vector on the left is a row, on the right a column."""
    return a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b


def _stacked(a: Array, b: Array, batch: tuple[int, ...]) -> tuple[Array, Array]:
    """Both as (count, rows, columns); or both as matrices where b is one, all of a's rows below each other."""
    if b.ndim == 2:
        return a.reshape(math.prod(a.shape[:-1]), a.shape[-1]), b
    count = math.prod(batch)
    a, b = (checks.in_c_order(np.broadcast_to(v, (*batch, *v.shape[-2:]))) for v in (a, b))
    return a.reshape(count, *a.shape[-2:]), b.reshape(count, *b.shape[-2:])


def _summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an operand of this shape from that of the operand broadcast: summed where it was repeated."""
    new = gradient.ndim - len(shape)
    repeated = [i + new for i, extent in enumerate(shape) if extent == 1 and gradient.shape[i + new] != 1]
    return np.asarray(gradient.sum(axis=(*range(new), *repeated))).reshape(shape)
