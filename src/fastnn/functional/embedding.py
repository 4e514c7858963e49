"""Embedding: rows of a table by number."""

from __future__ import annotations

from typing import Any

from .. import checks
from .._types import Array, Constant, Value
from ._op import Plan, Tape, operation

__all__ = ["embedding", "embedding_backward"]


def embedding(index: Constant, weight: Value, padding_idx: int | None = None) -> Value:
    """Rows of a table: ``y[...] = weight[index[...]]``.

    Parameters
    ----------
    index : array_like of int, any shape
        Numbers of rows, from 0 to ``rows - 1``.
    weight : array_like or Tensor, shape (rows, width)
        The table, float32 or float64.
    padding_idx : int, optional
        A row that gets no gradient; counted from the end if negative. What it holds is looked up like any other.

    Returns
    -------
    ndarray or Tensor, shape (*index.shape, width)
        A tensor if ``weight`` is one.

    Raises
    ------
    TypeError
        For numbers that are not integers, or a table of a dtype other than float32 and float64.
    ValueError
        For numbers out of range, or a table that is not a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.embedding([[2, 0]], np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]))
    array([[[4., 5.],
            [0., 1.]]])
    """
    return _EMBEDDING(index, weight, padding_idx)


def _plan(index: Any, weight: Any, padding_idx: Any) -> Plan:
    index, weight, skip = checks.embedding("embedding", index, weight, padding_idx)
    constants = {"rows": len(weight), "skip": skip}
    guard = ("numbers_below", index, len(weight))
    return Plan(
        "embedding_forward", (index, weight), tape=Tape("embedding_backward", _jvp), constants=constants, guard=guard
    )


def _jvp(ops: Any, tangents: Any, index: Array, skip: int) -> Any:
    dweight = tangents[0]
    if skip >= 0:
        dweight = dweight.copy()
        dweight[skip] = 0
    return ops.embedding_forward(index, dweight)


_EMBEDDING = operation("embedding", _plan, ("weight",))


def embedding_backward(dy: Constant, index: Constant, num_embeddings: int, padding_idx: int | None = None) -> Array:
    """Gradient of `embedding`: each row's sum of ``dy`` over where it was taken.

    Parameters
    ----------
    dy : array_like, shape (*index.shape, width)
        The gradient of the output.
    index, padding_idx
        What `embedding` got.
    num_embeddings : int
        Rows of the table.

    Returns
    -------
    ndarray, shape (num_embeddings, width)
        The gradient of the table; the same bits for every number of threads.

    Raises
    ------
    TypeError, ValueError
        As `embedding`, and if ``dy`` does not fit ``index``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.embedding_backward(np.array([[1.0], [10.0], [100.0]]), [2, 0, 2], 3)
    array([[ 10.],
           [  0.],
           [101.]])
    """
    return _EMBEDDING_BACKWARD(dy, index, num_embeddings, padding_idx)


def _gradient_plan(*arguments: Any) -> Plan:
    dy, index, rows, skip = checks.embedding_backward("embedding_backward", *arguments)
    return Plan("embedding_backward", (dy, index, rows, skip), guard=("numbers_below", index, rows))


_EMBEDDING_BACKWARD = operation("embedding_backward", _gradient_plan)
