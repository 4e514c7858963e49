"""Optimiser steps on flat arrays: param and state change in place, grad does not.

The scalars are combined in double precision first, so that float32 parameters see each rounded once.
"""

from __future__ import annotations

import math

import numpy as np

from ._common import Array, quiet

__all__ = ["adadelta_step", "adagrad_step", "adam_step", "rmsprop_step", "sgd_step"]


def _penalised(grad: Array, param: Array, weight_decay: float, l1: float) -> Array:
    """g = grad + wd * param + l1 * sign(param): the gradient of the penalties wd/2 * param^2 + l1 * |param|."""
    grad = grad + weight_decay * param if weight_decay else grad
    return grad + l1 * np.sign(param) if l1 else grad


@quiet
def sgd_step(
    param: Array,
    grad: Array,
    momentum_buffer: Array | None,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    l1: float,
) -> None:
    """d = momentum * d - lr * g; param += d, or += momentum * d - lr * g with Nesterov."""
    step = lr * _penalised(grad, param, weight_decay, l1)
    if momentum_buffer is None:
        param -= step
        return
    momentum_buffer *= momentum
    momentum_buffer -= step
    param += momentum * momentum_buffer - step if nesterov else momentum_buffer


@quiet
def adam_step(
    param: Array,
    grad: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    max_exp_avg_sq: Array | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    l1: float,
    decoupled: bool,
) -> None:
    """m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g^2; param -= lr * mhat / (sqrt(vhat) + eps).

    mhat = m / (1 - b1^step), vhat = v / (1 - b2^step), AMSGrad takes the largest v so far. Decay is in g, or decoupled:
    param *= 1 - lr * wd first.
    """
    if decoupled:
        param *= 1 - lr * weight_decay
    g = _penalised(grad, param, 0.0 if decoupled else weight_decay, l1)
    exp_avg *= beta1
    exp_avg += (1 - beta1) * g
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * (g * g)
    correction1, correction2 = 1 - beta1**step, math.sqrt(1 - beta2**step)
    v = exp_avg_sq
    if max_exp_avg_sq is not None:
        v = np.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)
    param -= (lr / correction1) * exp_avg / (np.sqrt(v) / correction2 + eps)


@quiet
def rmsprop_step(
    param: Array,
    grad: Array,
    square_avg: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    l1: float,
    eps_inside: bool,
) -> None:
    """s = alpha * s + (1 - alpha) * g^2; param -= lr * g / sqrt(s + eps), or / (sqrt(s) + eps)."""
    g = _penalised(grad, param, weight_decay, l1)
    square_avg *= alpha
    square_avg += (1 - alpha) * (g * g)
    param -= lr * g / (np.sqrt(square_avg + eps) if eps_inside else np.sqrt(square_avg) + eps)


@quiet
def adagrad_step(
    param: Array,
    grad: Array,
    square_sum: Array,
    lr: float,
    eps: float,
    weight_decay: float,
    l1: float,
    eps_inside: bool,
) -> None:
    """s = s + g^2; param -= lr * g / sqrt(s + eps), or / (sqrt(s) + eps)."""
    g = _penalised(grad, param, weight_decay, l1)
    square_sum += g * g
    param -= lr * g / (np.sqrt(square_sum + eps) if eps_inside else np.sqrt(square_sum) + eps)


@quiet
def adadelta_step(
    param: Array,
    grad: Array,
    square_avg: Array,
    acc_delta: Array,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    l1: float,
) -> None:
    """s = rho * s + (1 - rho) * g^2; d = sqrt((D + eps) / (s + eps)) * g; D = rho * D + (1 - rho) * d^2; param -= lr * d."""
    g = _penalised(grad, param, weight_decay, l1)
    square_avg *= rho
    square_avg += (1 - rho) * (g * g)
    d = np.sqrt((acc_delta + eps) / (square_avg + eps)) * g
    acc_delta *= rho
    acc_delta += (1 - rho) * (d * d)
    param -= lr * d
