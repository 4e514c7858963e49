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
    dx = matmul(dy, weight) if needs[0] else None
    dweight = dbias = None
    if needs[1]:
        dweight = room(needs[1], weight.shape, dy.dtype)
        matmul_into(dy, x, True, False, dweight)
    if needs[2]:
        dbias = room(needs[2], dy.shape[1:], dy.dtype)
        linear_backward_bias(dy, dbias)
    return dx, dweight, dbias
