"""Convolution: y[n, k, o] = bias[k] + sum over c and taps t of weight[k, c, t] * x[n, c, o * stride - pad + t * dilation].

A transposed convolution has the geometry of the convolution whose data gradient it is: it takes that one's y and
gives its x.
"""

from __future__ import annotations

from typing import Any

from ..._core import conv_backward_bias, conv_backward_weight, conv_forward, conv_transpose_forward
from ...checks import Conv
from ._common import Array, Gradients, Needs, room

__all__ = [
    "conv_backward",
    "conv_forward",
    "conv_transpose_backward",
    "conv_transpose_forward",
]


def conv_backward(g: Conv, dy: Array, x: Array, weight: Array, needs: Needs) -> Gradients:
    dx = conv_transpose_forward(g, dy, weight, None) if needs[0] else None
    dweight = _weight_gradient(g, dy, x, weight, needs[1]) if needs[1] else None
    return dx, dweight, _bias_gradient(dy, needs[2]) if needs[2] else None


def conv_transpose_backward(g: Conv, dy: Array, x: Array, weight: Array, needs: Needs) -> Gradients:
    dx = conv_forward(g, dy, weight, None) if needs[0] else None
    dweight = _weight_gradient(g, x, dy, weight, needs[1]) if needs[1] else None
    return dx, dweight, _bias_gradient(dy, needs[2]) if needs[2] else None


def _weight_gradient(g: Conv, dy: Array, x: Array, weight: Array, need: Any) -> Array:
    dweight = room(need, weight.shape, weight.dtype)
    conv_backward_weight(g, dy, x, dweight)
    return dweight


def _bias_gradient(dy: Array, need: Any) -> Array:
    dbias = room(need, dy.shape[1:2], dy.dtype)
    conv_backward_bias(dy, dbias)
    return dbias
