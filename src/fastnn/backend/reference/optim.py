"""Optimiser steps on flat arrays: param and state change in place, grad does not.

The scalars are combined in double precision first, so that float32 parameters see each rounded once.
"""

from __future__ import annotations

import math

import numpy as np

from ._common import Array, quiet

__all__ = ["adam_step", "rmsprop_step", "sgd_step"]


def _decayed(grad: Array, param: Array, weight_decay: float) -> Array:
    return grad + weight_decay * param if weight_decay else grad


@quiet
def sgd_step(
    param: Array,
    grad: Array,
    momentum_buffer: Array | None,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> None:
    """g = grad + wd * param; d = momentum * d - lr * g; param += d, or += momentum * d - lr * g with Nesterov."""
    step = lr * _decayed(grad, param, weight_decay)
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
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g^2; param -= lr * mhat / (sqrt(vhat) + eps).

    mhat = m / (1 - b1^step), vhat = v / (1 - b2^step). Decay is in g, or decoupled: param *= 1 - lr * wd first.
    """
    if decoupled:
        param *= 1 - lr * weight_decay
    g = grad if decoupled else _decayed(grad, param, weight_decay)
    exp_avg *= beta1
    exp_avg += (1 - beta1) * g
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * (g * g)
    correction1, correction2 = 1 - beta1**step, math.sqrt(1 - beta2**step)
    param -= (lr / correction1) * exp_avg / (np.sqrt(exp_avg_sq) / correction2 + eps)


@quiet
def rmsprop_step(
    param: Array,
    grad: Array,
    square_avg: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    eps_inside: bool,
) -> None:
    """s = alpha * s + (1 - alpha) * g^2; param -= lr * g / sqrt(s + eps), or / (sqrt(s) + eps)."""
    g = _decayed(grad, param, weight_decay)
    square_avg *= alpha
    square_avg += (1 - alpha) * (g * g)
    param -= lr * g / (np.sqrt(square_avg + eps) if eps_inside else np.sqrt(square_avg) + eps)
