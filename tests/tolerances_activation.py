"""Tolerances of activations, as `tolerances` explains them.

exp and tanh are good to 2 units in the last place, 4 roundings with what surrounds them.
"""

from __future__ import annotations

import numpy as np

from harness import Op, Results, Sample, gradient_for
from tolerances import walk, x_dy


def exponential(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    return {name: 4 * np.abs(value) for name, value in truth.items()}


def sigmoid(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    _, dy = x_dy(sample)
    y = truth["y"]
    return {"y": 4 * y, "dx": dy * (4 * y * np.abs(1 - 2 * y) + 3 * y * (1 - y))}


def tanh(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    _, dy = x_dy(sample)
    y = truth["y"]
    return {"y": 4 * np.abs(y), "dx": dy * (9 * y * y + 2 * (1 - y * y))}


def softplus(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """z = beta x is rounded, which shifts log(1 + e^z) by |z| s(z) roundings and s(z) by |z| of its own."""
    x, dy = x_dy(sample)
    beta = sample.options.get("beta", 1.0)
    z = beta * x
    s = 1 / (1 + np.exp(-z))
    return {"y": 5 * np.abs(truth["y"]) + np.abs(z) * s / beta, "dx": dy * s * (4 + np.abs(z))}


def gelu(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """Phi and phi are good to 5 units; the reference's x / sqrt(2), rounded in float64, makes x^2 more of it."""
    if sample.options.get("approximate") == "tanh":
        return _gelu_tanh(sample, truth, eps)
    x, dy = x_dy(sample)
    roundings = 7 + x * x * (np.finfo(np.float64).eps / eps)
    bell = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    cdf = np.abs(truth["y"] / np.where(x == 0, np.inf, x)) + 0.5 * (x == 0)
    return {"y": roundings * np.abs(truth["y"]), "dx": dy * (cdf + np.abs(x) * bell) * roundings}


def _gelu_tanh(sample: Sample, truth: Results, eps: float) -> Results:
    """y = x s(u): u gathers 4 roundings, of which s(u) sees |u| s(-u)."""
    x, dy = x_dy(sample)
    x = np.clip(x, -30, 30)
    rate = 2 * np.sqrt(2 / np.pi)
    u, slope = rate * (x + 0.044715 * x**3), rate * (1 + 3 * 0.044715 * x**2)
    s, opposite = 1 / (1 + np.exp(-u)), 1 / (1 + np.exp(u))
    error = 5 + 4 * np.abs(u) * opposite
    bend = np.abs(x) * s * opposite * slope
    return {"y": np.abs(truth["y"]) * error, "dx": dy * (s * error + bend * (8 + 4 * np.abs(u)))}


def silu(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    x, dy = x_dy(sample)
    s, opposite = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    return {"y": 5 * np.abs(truth["y"]), "dx": dy * s * (5 + 8 * np.abs(x) * opposite)}


def hardswish(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """Between the bends dx = dy (2 x + 3) / 6, a sum that cancels."""
    x, dy = x_dy(sample)
    return {"y": 2 * np.abs(truth["y"]), "dx": np.where(np.abs(x) < 3, 2 * dy * (np.abs(x) / 3 + 0.5), 0)}


def mish(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """dx = dy (t + x t'), t = p / (p + 2), p = e^x (e^x + 2): p gathers twice the error of e^x and 2 roundings."""
    x, dy = x_dy(sample)
    x = np.clip(x, -2000, 22)
    n = np.exp(x)
    q = n * (n + 2) + 2
    return {
        "y": 5 * np.abs(truth["y"]),
        "dx": dy * (6 * n * (n + 2) / q + 8 * np.abs(x) * (4 * n / q) * ((n + 1) / q)),
    }


def celu(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """z = x / alpha is rounded twice, which shifts e^z - 1 by |z| e^z roundings."""
    x, dy = x_dy(sample)
    alpha = sample.options.get("alpha", 1.0)
    z = np.clip(x / alpha, -2000, 0)
    return {"y": 4 * np.abs(truth["y"]) + alpha * np.abs(z) * np.exp(z), "dx": dy * np.exp(z) * (4 + np.abs(z))}


def prelu(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """dweight is a sum of x dy over a channel."""
    x, weight = sample.arrays
    assert x is not None
    assert weight is not None
    terms = np.where(x > 0, 0.0, np.abs(x * gradient_for(x.shape, np.float64)))
    if weight.size == 1:
        magnitude = terms.sum(keepdims=True).reshape(weight.shape)
    else:
        magnitude = terms.reshape(x.shape[0], x.shape[1], int(np.prod(x.shape[2:]))).sum((0, 2))
    dweight = walk(x.size / max(weight.size, 1)) * magnitude
    return {"y": 2 * np.abs(truth["y"]), "dx": 2 * np.abs(truth["dx"]), "dweight": dweight}
