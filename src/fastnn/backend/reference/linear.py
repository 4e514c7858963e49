"""Matrix products: y = x @ weight^T + bias."""

from __future__ import annotations

import numpy as np

from ._common import Array, product, quiet


@quiet
def matmul(a: Array, b: Array, trans_a: bool = False, trans_b: bool = False) -> Array:
    """a (m, k) @ b (k, n), or a batch of them; trans_* says that the operand is stored transposed."""
    return np.ascontiguousarray(product(a.swapaxes(-1, -2) if trans_a else a, b.swapaxes(-1, -2) if trans_b else b))


@quiet
def linear_forward(x: Array, weight: Array, bias: Array | None) -> Array:
    """x (..., k), weight (n, k), bias (n,) -> y (..., n)."""
    y = product(x, weight.T)
    if bias is not None:
        y += bias
    return y


@quiet
def linear_backward(
    dy: Array, x: Array, weight: Array, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None, Array | None]:
    """y = x @ weight.T + bias, hence dx = dy @ weight, dweight = dy.T @ x, dbias = sum of the rows of dy.

    x (..., k) and dy (..., n) are matrices of all their rows.
    """
    rows, outputs = x.reshape(-1, weight.shape[1]), dy.reshape(-1, weight.shape[0])
    return (
        _backward_data(outputs, weight).reshape(x.shape) if needs[0] else None,
        _backward_weight(outputs, rows) if needs[1] else None,
        _backward_bias(outputs) if needs[2] else None,
    )


def _backward_data(dy: Array, weight: Array) -> Array:
    return product(dy, weight)


def _backward_weight(dy: Array, x: Array) -> Array:
    return np.ascontiguousarray(product(dy.T, x))


def _backward_bias(dy: Array) -> Array:
    return np.asarray(dy.sum(axis=0, dtype=np.float64), dy.dtype)
