"""Matrix products: y = x @ weight^T + bias."""

from __future__ import annotations

import numpy as np

from ._common import Array, product, quiet

__all__ = ["linear_backward", "linear_forward", "matmul"]


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
    """y = x @ weight.T + bias, hence dx = dy @ weight, dweight = dy.T @ x, dbias = sum of the rows of dy."""
    return (
        product(dy, weight) if needs[0] else None,
        np.ascontiguousarray(product(dy.T, x)) if needs[1] else None,
        dy.sum(axis=0, dtype=np.float64).astype(x.dtype) if needs[2] else None,
    )
