"""The compiled backend: allocates outputs and calls the kernels.

Same names and signatures as `fastnn.backend.reference`, which says what each function computes.
Functions that need nothing more are the bindings themselves: for small arrays a Python frame would cost more than
the kernel.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from .. import _core
from .._core import (
    adam_step,
    cross_entropy_backward,
    cross_entropy_forward,
    dropout_forward,
    elu_backward,
    elu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    log_softmax_backward,
    log_softmax_forward,
    max_pool_backward,
    max_pool_forward,
    relu_backward,
    relu_forward,
    rmsprop_step,
    sgd_step,
    sigmoid_backward,
    sigmoid_forward,
    softmax_backward,
    softmax_forward,
    tanh_backward,
    tanh_forward,
)

__all__ = [
    "adam_step",
    "conv_backward",
    "conv_forward",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward",
    "linear_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "matmul",
    "max_pool_backward",
    "max_pool_forward",
    "relu_backward",
    "relu_forward",
    "rmsprop_step",
    "sgd_step",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_backward",
    "softmax_forward",
    "tanh_backward",
    "tanh_forward",
]

Array = NDArray[Any]
Needs = tuple[bool, bool, bool]


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


def linear_backward(
    dy: Array, x: Array, weight: Array, needs: Needs
) -> tuple[Array | None, Array | None, Array | None]:
    dx = matmul(dy, weight) if needs[0] else None
    dweight = matmul(dy, x, trans_a=True) if needs[1] else None
    dbias = None
    if needs[2]:
        dbias = _core.empty((dy.shape[1],), dy.dtype)
        _core.linear_backward_bias(*dy.shape, dy, dbias)
    return dx, dweight, dbias


def conv_forward(g: Any, x: Array, weight: Array, bias: Array | None) -> Array:
    y = _core.empty((g.n, g.k, *g.out[5 - x.ndim :]), x.dtype)
    _core.conv_forward(g, x, weight, bias, y)
    return y


def conv_backward(
    g: Any, dy: Array, x: Array, weight: Array, needs: Needs
) -> tuple[Array | None, Array | None, Array | None]:
    dx = dweight = dbias = None
    if needs[0]:
        dx = _core.empty(x.shape, dy.dtype)
        _core.conv_backward_data(g, dy, weight, dx)
    if needs[1]:
        dweight = _core.empty(weight.shape, dy.dtype)
        _core.conv_backward_weight(g, dy, x, dweight)
    if needs[2]:
        dbias = _core.empty((g.k,), dy.dtype)
        _core.conv_backward_bias(g, dy, dbias)
    return dx, dweight, dbias
