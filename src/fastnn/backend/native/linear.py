"""Matrix products: y = x @ weight^T + bias."""

from __future__ import annotations

from ... import _core
from ._common import Array, Gradients, Needs, room

__all__ = [
    "linear_backward",
    "linear_forward",
    "matmul",
]


def matmul(a: Array, b: Array, trans_a: bool = False, trans_b: bool = False) -> Array:
    return _product(a, b, trans_a, trans_b)


def _product(a: Array, b: Array, trans_a: bool = False, trans_b: bool = False, out: Array | None = None) -> Array:
    batch = a.shape[0] if a.ndim == 3 else 1
    rows, cols = a.shape[-2:]
    m, depth = (cols, rows) if trans_a else (rows, cols)
    n = b.shape[-2] if trans_b else b.shape[-1]
    if out is None:
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
    dweight = dbias = None
    if needs[1]:
        dweight = _product(dy, x, trans_a=True, out=room(needs[1], weight.shape, dy.dtype))
    if needs[2]:
        dbias = room(needs[2], (dy.shape[1],), dy.dtype)
        _core.linear_backward_bias(dy.shape[0], dy.shape[1], dy, dbias)
    return dx, dweight, dbias
