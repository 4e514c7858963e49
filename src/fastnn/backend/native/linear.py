"""Matrix products: y = x @ weight^T + bias."""

from __future__ import annotations

from ... import _core
from ._common import Array, Gradients, Needs

__all__ = [
    "linear_backward",
    "linear_forward",
    "matmul",
]


def matmul(a: Array, b: Array, trans_a: bool = False, trans_b: bool = False) -> Array:
    batch = a.shape[0] if a.ndim == 3 else 1
    rows, cols = a.shape[-2:]
    m, depth = (cols, rows) if trans_a else (rows, cols)
    n = b.shape[-2] if trans_b else b.shape[-1]
    out = _core.empty((*a.shape[:-2], m, n), a.dtype)
    _core.matmul(batch, m, n, depth, trans_a, trans_b, a, b, out)
    return out


def linear_forward(x: Array, weight: Array, bias: Array | None) -> Array:
    m, k = x.shape
    n = weight.shape[0]
    y = _core.empty((m, n), x.dtype)
    _core.linear_forward(m, n, k, x, weight, bias, y)
    return y


def linear_backward(dy: Array, x: Array, weight: Array, needs: Needs) -> Gradients:
    dx = matmul(dy, weight) if needs[0] else None
    dweight = matmul(dy, x, trans_a=True) if needs[1] else None
    dbias = None
    if needs[2]:
        dbias = _core.empty((dy.shape[1],), dy.dtype)
        _core.linear_backward_bias(dy.shape[0], dy.shape[1], dy, dbias)
    return dx, dweight, dbias
