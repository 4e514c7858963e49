"""Norms, as they are in evaluation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .graph_writer import Graph, Name, Unsayable, exact, extents, result
from .trace import Step
from .write_arithmetic import reduced
from .write_table import writes


def _vector(g: Graph, x: Any, count: int, value: float, dtype: Any) -> Name:
    """A parameter per channel, or what stands for one that is missing."""
    return g.array(np.full(count, value), dtype) if x is None else g.name(x)


def _batch(g: Graph, step: Step, x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Name:
    if step.function != "batch_norm_eval_forward":
        raise Unsayable(
            "normalises by the statistics of the batch, as in training; call model.eval() before, or pass training=False"
        )
    count, dtype = x.shape[1], result(step).dtype
    scale, shift = _vector(g, weight, count, 1, dtype), _vector(g, bias, count, 0, dtype)
    if not exact(eps, dtype):  # the attribute has the digits of float32; the rest goes to the variance
        var = g.node("Add", var, g.array(eps - float(np.float32(eps)), dtype))
    return g.node("BatchNormalization", x, scale, shift, mean, var, epsilon=float(np.float32(eps)))


@writes("batch_norm")
def _batch_norm(
    g: Graph, step: Step, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: Any, momentum: Any, eps: float,
    unbiased: Any,
) -> Name:  # fmt: skip
    return _batch(g, step, x, mean, var, weight, bias, eps)


@writes("batch_norm_relu")
def _batch_norm_relu(
    g: Graph, step: Step, x: Any, mean: Any, var: Any, weight: Any, bias: Any, residual: Any, training: Any,
    momentum: Any, eps: float, unbiased: Any,
) -> Name:  # fmt: skip
    y = _batch(g, step, x, mean, var, weight, bias, eps)
    return g.node("Relu", y if residual is None else g.node("Add", y, residual))


@writes("instance_norm")
def _instance_norm(
    g: Graph, step: Step, x: Any, weight: Any, bias: Any, eps: float, mean: Any, var: Any, own: bool, *moves: Any
) -> Name:
    if not own:
        return _batch(g, step, x, mean, var, weight, bias, eps)
    if step.function != "group_norm_forward":
        raise Unsayable(
            "moves running statistics, as in training; call model.eval() before, or pass use_input_stats=False"
        )
    count, dtype = x.shape[1], result(step).dtype
    if dtype == np.float32:
        scale, shift = _vector(g, weight, count, 1, dtype), _vector(g, bias, count, 0, dtype)
        return g.node("InstanceNormalization", x, scale, shift, epsilon=float(eps))
    y = normalised(g, x, tuple(range(2, len(x.shape))), eps, dtype)
    return _affine(g, y, weight, bias, len(x.shape))


@writes("group_norm")
def _group_norm(g: Graph, step: Step, x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Name:
    count, dtype = x.shape[1], result(step).dtype
    if g.opset >= 21 and dtype == np.float32:
        scale, shift = _vector(g, weight, count, 1, dtype), _vector(g, bias, count, 0, dtype)
        return g.node("GroupNormalization", x, scale, shift, num_groups=groups, epsilon=float(eps))
    shape = extents(x)
    grouped = g.reshape(x, [shape[0], groups, math.prod(x.shape[1:]) // groups])
    if any(not isinstance(n, int) for n in shape[1:]):
        raise Unsayable("has groups of which the size depends on the batch")
    return _affine(g, g.reshape(normalised(g, grouped, (2,), eps, dtype), shape), weight, bias, len(shape))


def _affine(g: Graph, y: Name, weight: Any, bias: Any, ndim: int) -> Name:
    """y scaled and shifted by channel."""
    for kind, parameter in (("Mul", weight), ("Add", bias)):
        if parameter is not None:
            y = g.node(kind, y, g.reshape(parameter, [parameter.shape[0]] + [1] * (ndim - 2)))
    return y


def normalised(g: Graph, x: Any, axes: tuple[int, ...], eps: float, dtype: Any) -> Name:
    """``(x - mean) / sqrt(var + eps)`` over the axes."""
    apart = g.node("Sub", x, reduced(g, "ReduceMean", x, axes))
    variance = reduced(g, "ReduceMean", g.node("Mul", apart, apart), axes)
    return g.node("Div", apart, g.node("Sqrt", g.node("Add", variance, g.array(eps, dtype))))


@writes("layer_norm")
def _layer_norm(g: Graph, step: Step, x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Name:
    ndim, dtype = len(x.shape), result(step).dtype
    count = 1 if isinstance(shape, int) else len(shape)
    if dtype == np.float32:
        last = x.shape[ndim - count :]
        scale = g.array(np.ones(last), dtype) if weight is None else weight
        return g.node("LayerNormalization", x, scale, bias, axis=-count, epsilon=float(eps))
    y = normalised(g, x, tuple(range(ndim - count, ndim)), eps, dtype)
    y = y if weight is None else g.node("Mul", y, weight)
    return y if bias is None else g.node("Add", y, bias)


@writes("rms_norm")
def _rms_norm(g: Graph, step: Step, x: Any, shape: Any, weight: Any, eps: float | None) -> Name:
    ndim, dtype = len(x.shape), result(step).dtype
    count = 1 if isinstance(shape, int) else len(shape)
    eps = float(np.finfo(dtype).eps) if eps is None else eps
    if g.opset >= 23 and dtype == np.float32:
        last = x.shape[ndim - count :]
        scale = g.array(np.ones(last), dtype) if weight is None else weight
        return g.node("RMSNormalization", x, scale, axis=-count, epsilon=float(eps))
    mean = reduced(g, "ReduceMean", g.node("Mul", x, x), tuple(range(ndim - count, ndim)))
    y = g.node("Div", x, g.node("Sqrt", g.node("Add", mean, g.array(eps, dtype))))
    return y if weight is None else g.node("Mul", y, weight)


@writes("local_response_norm")
def _local_response_norm(g: Graph, step: Step, x: Any, size: int, alpha: float, beta: float, k: float) -> Name:
    """ONNX's windows of even size reach the other way, so these are composed."""
    dtype = result(step).dtype
    if size % 2 and len(x.shape) == 4 and dtype == np.float32:
        return g.node("LRN", x, size=size, alpha=float(alpha), beta=float(beta), bias=float(k))
    shape = extents(x)
    planes = g.reshape(
        g.node("Mul", x, x), [shape[0], 1, shape[1], -1] if 0 not in x.shape else [*x.shape[:1], 1, x.shape[1], 0]
    )
    # What of a window reaches beyond all channels is always 0.
    low, high = min(size // 2, x.shape[1] - 1), min((size - 1) // 2, x.shape[1] - 1)
    taps = low + high + 1
    means = g.node("AveragePool", planes, kernel_shape=[taps, 1], pads=[low, 0, high, 0], count_include_pad=1)
    weighted = g.node("Mul", means, g.array(alpha * taps / size, dtype))
    energy = g.reshape(g.node("Add", weighted, g.array(k, dtype)), shape)
    return g.node("Div", x, g.node("Pow", energy, g.array(beta, dtype)))
