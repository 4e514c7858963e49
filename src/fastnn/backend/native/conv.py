"""Convolution: y[n, k, o] = bias[k] + sum over c and taps t of weight[k, c, t] * x[n, c, o * stride - pad + t * dilation].

A transposed convolution has the geometry of the convolution whose data gradient it is: it takes that one's y and
gives its x.
"""

from __future__ import annotations

from ... import _core
from ...checks import Conv
from ._common import Array, Gradients, Needs, room

__all__ = [
    "conv_backward",
    "conv_forward",
    "conv_transpose_backward",
    "conv_transpose_forward",
]


def conv_forward(g: Conv, x: Array, weight: Array, bias: Array | None) -> Array:
    y = _core.empty((g.n, g.k, *g.out[5 - x.ndim :]), x.dtype)
    _core.conv_forward(g, x, weight, bias, y)
    return y


def conv_backward(g: Conv, dy: Array, x: Array, weight: Array, needs: Needs) -> Gradients:
    dx = dweight = dbias = None
    if needs[0]:
        dx = _core.empty(x.shape, dy.dtype)
        _core.conv_backward_data(g, dy, weight, None, dx)
    if needs[1]:
        dweight = room(needs[1], weight.shape, dy.dtype)
        _core.conv_backward_weight(g, dy, x, dweight)
    if needs[2]:
        dbias = room(needs[2], (g.k,), dy.dtype)
        _core.conv_backward_bias(g, dy, dbias)
    return dx, dweight, dbias


def conv_transpose_forward(g: Conv, x: Array, weight: Array, bias: Array | None) -> Array:
    y = _core.empty((g.n, g.c, *g.size[5 - x.ndim :]), x.dtype)
    _core.conv_backward_data(g, x, weight, bias, y)
    return y


def conv_transpose_backward(g: Conv, dy: Array, x: Array, weight: Array, needs: Needs) -> Gradients:
    dx = dweight = dbias = None
    if needs[0]:
        dx = _core.empty(x.shape, dy.dtype)
        _core.conv_forward(g, dy, weight, None, dx)
    if needs[1]:
        dweight = room(needs[1], weight.shape, dy.dtype)
        _core.conv_backward_weight(g, x, dy, dweight)
    if needs[2]:
        dbias = room(needs[2], (g.c,), dy.dtype)
        _core.conv_backward_bias(g._replace(k=g.c, out=g.size), dy, dbias)
    return dx, dweight, dbias
