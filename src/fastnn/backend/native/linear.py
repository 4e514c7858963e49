"""Matrix products: y = x @ weight^T + bias."""

from __future__ import annotations

from ..._core import linear_backward_bias, linear_forward, matmul, matmul_into
from ._common import Array, Gradients, Needs, room

__all__ = [
    "linear_backward",
    "linear_forward",
    "matmul",
]


def linear_backward(dy: Array, x: Array, weight: Array, needs: Needs) -> Gradients:
    if x.ndim != 2:
        out, inner = weight.shape
        dx, dweight, dbias = linear_backward(dy.reshape(-1, out), x.reshape(-1, inner), weight, needs)
        return None if dx is None else dx.reshape(x.shape), dweight, dbias
    dx = matmul(dy, weight) if needs[0] else None
    dweight = dbias = None
    if needs[1]:
        dweight = room(needs[1], weight.shape, dy.dtype)
        matmul_into(dy, x, True, False, dweight)
    if needs[2]:
        dbias = room(needs[2], dy.shape[1:], dy.dtype)
        linear_backward_bias(dy, dbias)
    return dx, dweight, dbias
