"""Activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend.reference.activation_smooth import SELU_ALPHA, SELU_SCALE
from .graph_writer import Graph, Name, Unsayable, exact, extents, result
from .trace import Step
from .write_arithmetic import reduced
from .write_table import refuses, writes

_PLAIN = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softsign": "Softsign", "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
}  # fmt: skip

_DRAWS = "draws random numbers, since it is called with training=True; pass training=self.training, or call model.eval() before"
refuses(_DRAWS, "dropout", "dropout1d", "dropout2d", "dropout3d")


@writes("relu", "sigmoid", "tanh", "softsign")
def _plain(g: Graph, step: Step, x: Any) -> Name:
    return g.node(_PLAIN[step.name], x)


@writes("softmax", "log_softmax")
def _softmax(g: Graph, step: Step, x: Any, axis: int) -> Name:
    return g.node(_PLAIN[step.name], x, axis=axis)


@writes("leaky_relu", "rrelu")
def _leaky_relu(g: Graph, step: Step, x: Any, slope: float, *interval: float) -> Name:
    if interval:
        raise Unsayable(_DRAWS)
    dtype = result(step).dtype
    if exact(slope, dtype):
        return g.node("LeakyRelu", x, alpha=float(slope))
    return g.node("PRelu", x, g.array(slope, dtype))


@writes("prelu")
def _prelu(g: Graph, step: Step, x: Any, slopes: Any) -> Name:
    count, ndim = slopes.shape[0], len(x.shape)
    if count > 1 and ndim > 2:
        slopes = g.reshape(slopes, [count] + [1] * (ndim - 2))
    elif not ndim:
        slopes = g.reshape(slopes, [])
    return g.node("PRelu", x, slopes)


@writes("elu")
def _elu(g: Graph, step: Step, x: Any, alpha: float) -> Name:
    dtype = result(step).dtype
    if exact(alpha, dtype):
        return g.node("Elu", x, alpha=float(alpha))
    zero = g.array(0, dtype)
    below = g.node("Mul", g.array(alpha, dtype), g.node("Elu", g.node("Min", x, zero), alpha=1.0))
    return g.node("Add", g.node("Max", x, zero), below)


@writes("selu")
def _selu(g: Graph, step: Step, x: Any) -> Name:
    dtype = result(step).dtype
    if exact(SELU_SCALE, dtype):
        return g.node("Selu", x)
    zero = g.array(0, dtype)
    below = g.node("Mul", g.array(SELU_ALPHA, dtype), g.node("Elu", g.node("Min", x, zero), alpha=1.0))
    return g.node("Mul", g.array(SELU_SCALE, dtype), g.node("Add", g.node("Max", x, zero), below))


@writes("softplus")
def _softplus(g: Graph, step: Step, x: Any, beta: float, threshold: float) -> Name:
    dtype = result(step).dtype
    factor = g.array(beta, dtype)
    z = g.name(x) if beta == 1 else g.node("Mul", x, factor)
    y = g.node("Softplus", z)
    if beta != 1:
        y = g.node("Div", y, factor)
    # Above the threshold the result is x; where that is within rounding of the logarithm, runtimes need not be told.
    if threshold > 0 and math.exp(-threshold) < threshold * float(np.finfo(dtype).eps):
        return y
    return g.node("Where", g.node("Greater", z, g.array(threshold, dtype)), x, y)


@writes("gelu")
def _gelu(g: Graph, step: Step, x: Any, approximate: str) -> Name:
    dtype = result(step).dtype
    if g.opset >= 20 and dtype == np.float32:  # in float64 runtimes use constants of float32
        return g.node("Gelu", x, approximate=approximate)
    half, one = g.array(0.5, dtype), g.array(1, dtype)
    if approximate == "tanh":
        cube = g.node("Mul", g.node("Mul", g.node("Mul", x, x), x), g.array(0.044715, dtype))
        inner = g.node("Tanh", g.node("Mul", g.node("Add", x, cube), g.array(math.sqrt(2 / math.pi), dtype)))
    else:
        inner = g.node("Erf", g.node("Mul", x, g.array(math.sqrt(0.5), dtype)))
    return g.node("Mul", g.node("Mul", x, half), g.node("Add", inner, one))


@writes("silu")
def _silu(g: Graph, step: Step, x: Any) -> Name:
    if g.opset >= 24:
        return g.node("Swish", x)
    return g.node("Mul", x, g.node("Sigmoid", x))


@writes("hardsigmoid")
def _hardsigmoid(g: Graph, step: Step, x: Any) -> Name:
    if exact(1 / 6, result(step).dtype):
        return g.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    return _hard(g, step, x)


@writes("hardswish")
def _hardswish(g: Graph, step: Step, x: Any) -> Name:
    if exact(1 / 6, result(step).dtype):
        return g.node("HardSwish", x)
    return g.node("Mul", x, _hard(g, step, x))


def _hard(g: Graph, step: Step, x: Any) -> Name:
    dtype = result(step).dtype
    return g.node("Div", _cut(g, g.node("Add", x, g.array(3, dtype)), 0, 6, dtype), g.array(6, dtype))


@writes("relu6")
def _relu6(g: Graph, step: Step, x: Any) -> Name:
    return _cut(g, x, 0, 6, result(step).dtype)


def _cut(g: Graph, x: Any, low: float, high: float, dtype: Any) -> Name:
    return g.node("Clip", x, g.array(low, dtype), g.array(high, dtype))


@writes("thresholded_relu")
def _thresholded_relu(g: Graph, step: Step, x: Any, alpha: float) -> Name:
    dtype = result(step).dtype
    if exact(alpha, dtype):
        return g.node("ThresholdedRelu", x, alpha=float(alpha))
    return g.node("Where", g.node("Greater", x, g.array(alpha, dtype)), x, g.array(0, dtype))


@writes("celu")
def _celu(g: Graph, step: Step, x: Any, alpha: float) -> Name:
    dtype = result(step).dtype
    if dtype == np.float32:
        return g.node("Celu", x, alpha=float(alpha))
    zero, scale = g.array(0, dtype), g.array(alpha, dtype)
    below = g.node("Elu", g.node("Div", g.node("Min", x, zero), scale), alpha=1.0)
    return g.node("Add", g.node("Max", x, zero), g.node("Mul", scale, below))


@writes("mish")
def _mish(g: Graph, step: Step, x: Any) -> Name:
    if g.opset >= 18:
        return g.node("Mish", x)
    return g.node("Mul", x, g.node("Tanh", g.node("Softplus", x)))


@writes("logsigmoid")
def _logsigmoid(g: Graph, step: Step, x: Any) -> Name:
    """In float64, for which onnxruntime has no Softplus, ``min(x, 0) - log(1 + exp(-|x|))``, which cannot overflow."""
    dtype = result(step).dtype
    if dtype == np.float32:
        return g.node("Neg", g.node("Softplus", g.node("Neg", x)))
    small = g.node("Exp", g.node("Neg", g.node("Abs", x)))
    return g.node("Sub", g.node("Min", x, g.array(0, dtype)), g.node("Log", g.node("Add", small, g.array(1, dtype))))


@writes("maxout")
def _maxout(g: Graph, step: Step, x: Any, k: int, axis: int) -> Name:
    shape = extents(x)
    axis %= len(shape)
    # The extent that is cut in two is not that of the batch: its number of pieces is fixed.
    pieces = [*shape[:axis], x.shape[axis] // k, k, *shape[axis + 1 :]]
    return reduced(g, "ReduceMax", g.reshape(x, pieces), (axis + 1,), keepdims=False)
