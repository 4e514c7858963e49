"""How far optimiser steps may be off; see `tolerances`."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Op, Results, Sample


def _decayed(o: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The gradient with the penalties, and the magnitude it rounds relative to."""
    decay, l1 = o.get("weight_decay", 0.0), o.get("l1", 0.0)
    g = o["grad"] + decay * o["param"] + l1 * np.sign(o["param"])
    return g, np.abs(o["grad"]) + decay * np.abs(o["param"]) + l1


def sgd_step(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    o = sample.options
    _, size = _decayed(o)
    step = o["lr"] * size
    if "momentum_buffer" in o:
        step = step + o["momentum"] * np.abs(o["momentum_buffer"])
    total = step * (1 + o.get("momentum", 0.0)) + o["lr"] * size * bool(o.get("nesterov"))
    return {"param": 4 * (np.abs(o["param"]) + total), "momentum_buffer": 4 * step}


def _second_moment(o: dict[str, Any], name: str, beta: float) -> np.ndarray:
    g, size = _decayed(o)
    return 4 * (beta * o[name] + (1 - beta) * (g * g + np.abs(g) * size))


def _root_step(
    numerator: np.ndarray, numerator_error: np.ndarray, v: np.ndarray, v_error: np.ndarray, eps: float
) -> Any:
    """Error of numerator / (sqrt(v) + eps), for v > 0."""
    root = np.sqrt(v) + eps
    return (numerator_error + np.abs(numerator) * (4 + 0.5 * v_error / v)) / root


def _adam(sample: Sample, truth: Results, decoupled: bool) -> Results:
    o = dict(sample.options)
    lr, (beta1, beta2), decay = o["lr"], o["betas"], o["weight_decay"]
    if decoupled:
        o["weight_decay"] = 0.0
    _, size = _decayed(o)
    m = 4 * (beta1 * np.abs(o["exp_avg"]) + (1 - beta1) * size)
    v = _second_moment(o, "exp_avg_sq", beta2)
    scale = lr / (1 - beta1 ** o["step"])
    corrected = 1 - beta2 ** o["step"]
    largest = truth.get("max_exp_avg_sq", truth["exp_avg_sq"])
    step = _root_step(truth["exp_avg"], m, largest / corrected, v / corrected, o["eps"])
    param = 2 * np.abs(o["param"]) * (1 + lr * decay) + scale * step
    return {"exp_avg": m, "exp_avg_sq": v, "max_exp_avg_sq": v, "param": param + np.abs(truth["param"])}


def adam_step(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    return _adam(sample, truth, decoupled=False)


def adamw_step(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    return _adam(sample, truth, decoupled=True)


def rmsprop_step(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    o = sample.options
    g, size = _decayed(o)
    v = _second_moment(o, "square_avg", o["alpha"])
    # sqrt(s + eps) is at least sqrt(s): the bound without eps holds for both forms.
    step = _root_step(g, 2 * size, truth["square_avg"], v, 0.0)
    return {"square_avg": v, "param": 2 * np.abs(o["param"]) + o["lr"] * step}


def adagrad_step(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    o = sample.options
    g, size = _decayed(o)
    s = 4 * (o["square_sum"] + g * g + np.abs(g) * size)
    return {
        "square_sum": s,
        "param": 2 * np.abs(o["param"]) + o["lr"] * _root_step(g, 2 * size, truth["square_sum"], s, 0.0),
    }


def adadelta_step(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    o = sample.options
    rho, (g, size) = o["rho"], _decayed(o)
    v = _second_moment(o, "square_avg", rho)
    ratio = np.sqrt((o["acc_delta"] + o["eps"]) / (truth["square_avg"] + o["eps"]))
    d = np.abs(ratio * g)
    d_error = d * (6 + 0.5 * v / truth["square_avg"]) + ratio * 2 * size
    acc = 4 * (rho * o["acc_delta"] + (1 - rho) * d * d) + 2 * (1 - rho) * d * d_error
    return {"square_avg": v, "acc_delta": acc, "param": 2 * np.abs(o["param"]) + o["lr"] * (d_error + 2 * d)}
