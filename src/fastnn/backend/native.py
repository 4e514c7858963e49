"""The compiled backend: allocates outputs and calls the kernels.

Same names and signatures as `fastnn.backend.reference`, which says what each function computes.
Functions that need nothing more are the bindings themselves: for small arrays a Python frame would cost more than
the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._core import (
    adam_step,
    adaptive_avg_pool_backward,
    adaptive_avg_pool_forward,
    adaptive_max_pool_backward,
    adaptive_max_pool_forward,
    avg_pool_backward,
    avg_pool_forward,
    cross_entropy_backward,
    cross_entropy_forward,
    dropout_forward,
    elu_backward,
    elu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    log_softmax_backward,
    log_softmax_forward,
    lp_pool_backward,
    lp_pool_forward,
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
    "adaptive_avg_pool_backward",
    "adaptive_avg_pool_forward",
    "adaptive_max_pool_backward",
    "adaptive_max_pool_forward",
    "avg_pool_backward",
    "avg_pool_forward",
    "batch_norm_backward",
    "batch_norm_eval_backward",
    "batch_norm_eval_forward",
    "batch_norm_train_forward",
    "conv_backward",
    "conv_forward",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "group_norm_backward",
    "group_norm_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward",
    "linear_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "lp_pool_backward",
    "lp_pool_forward",
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
Gradients = tuple[Array | None, Array | None, Array | None]


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
) -> Gradients:
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
) -> Gradients:
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


def batch_norm_train_forward(
    g: Any,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    momentum: float,
    eps: float,
) -> tuple[Array, Array, Array]:
    y = _core.empty(x.shape, x.dtype)
    mean = _core.empty((g.channels,), x.dtype)
    rstd = _core.empty((g.channels,), x.dtype)
    _core.batch_norm_train_forward(g, x, weight, bias, running_mean, running_var, momentum, eps, y, mean, rstd)
    return y, mean, rstd


def batch_norm_eval_forward(
    g: Any, x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float
) -> Array:
    y = _core.empty(x.shape, x.dtype)
    _core.batch_norm_eval_forward(g, x, mean, var, weight, bias, eps, y)
    return y


def _batch_norm_gradients(
    g: Any, training: bool, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> Gradients:
    dx = _core.empty(x.shape, x.dtype) if needs[0] else None
    dweight = _core.empty((g.channels,), x.dtype)
    dbias = _core.empty((g.channels,), x.dtype)
    _core.batch_norm_backward(g, training, dy, x, weight, mean, rstd, dx, dweight, dbias)
    return dx, dweight if needs[1] else None, dbias if needs[2] else None


def batch_norm_backward(
    g: Any, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> Gradients:
    return _batch_norm_gradients(g, True, dy, x, weight, mean, rstd, needs)


def batch_norm_eval_backward(
    g: Any, dy: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float, needs: Needs
) -> Gradients:
    with np.errstate(divide="ignore", invalid="ignore"):
        rstd = (1 / np.sqrt(var.astype(np.float64) + eps)).astype(x.dtype)
    return _batch_norm_gradients(g, False, dy, x, weight, mean, rstd, needs)


def layer_norm_forward(
    g: Any, x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    y = _core.empty(x.shape, x.dtype)
    mean = _core.empty((g.outer,), x.dtype)
    rstd = _core.empty((g.outer,), x.dtype)
    _core.layer_norm_forward(g, x, weight, bias, eps, y, mean, rstd)
    return y, mean, rstd


def layer_norm_backward(
    g: Any, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> Gradients:
    parameters = needs[1] or needs[2]
    dx = _core.empty(x.shape, x.dtype) if needs[0] else None
    dweight = _core.empty((g.inner,), x.dtype) if parameters else None
    dbias = _core.empty((g.inner,), x.dtype) if parameters else None
    _core.layer_norm_backward(g, dy, x, weight, mean, rstd, dx, dweight, dbias)
    return dx, dweight if needs[1] else None, dbias if needs[2] else None


def group_norm_forward(
    g: Any, x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    y = _core.empty(x.shape, x.dtype)
    mean = _core.empty((g.n, g.groups), x.dtype)
    rstd = _core.empty((g.n, g.groups), x.dtype)
    _core.group_norm_forward(g, x, weight, bias, eps, y, mean, rstd)
    return y, mean, rstd


def group_norm_backward(
    g: Any, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> Gradients:
    dx = _core.empty(x.shape, x.dtype) if needs[0] else None
    dweight = _core.empty((g.groups * g.channels,), x.dtype) if needs[1] else None
    dbias = _core.empty((g.groups * g.channels,), x.dtype) if needs[2] else None
    _core.group_norm_backward(g, dy, x, weight, mean, rstd, dx, dweight, dbias)
    return dx, dweight, dbias
