"""Optimiser steps on flat arrays: param and state change in place, grad does not.

The scalars are combined in double precision first, so that float32 parameters see each rounded once.

A second moment, a sum of squares, may be too large or too small for the arrays' type although its root is not. Then the
array holds minus the root: no second moment is negative.
"""

from __future__ import annotations

import math

import numpy as np

from ._common import Array, quiet

# Adagrad adds up the squares of all steps. Squares below the smallest number are lost; eps hides that only if it hides
# the loss of this many steps together.
_ADAGRAD_STEPS = 2**20


def _times(factor: float, array: Array) -> Array:
    """A product with a number that the array's type may be unable to hold."""
    return np.asarray(np.float64(factor) * array).astype(array.dtype)


def _penalised(grad: Array, param: Array, weight_decay: float, l1: float) -> Array:
    """g = grad + wd * param + l1 * sign(param): the gradient of the penalties wd/2 * param^2 + l1 * |param|."""
    grad = grad + _times(weight_decay, param) if weight_decay else grad
    return grad + l1 * np.sign(param) if l1 else grad


def _root(moment: Array) -> Array:
    """The root of a second moment as the array holds it."""
    return np.where(moment < 0, -moment, np.sqrt(moment))


def _hidden(dtype: np.dtype, share: float, eps: float, inside: bool) -> bool:
    """Whether eps is so large that sums of share * g^2 make no difference where they are below the smallest number."""
    info = np.finfo(dtype)
    lost = float(info.tiny) / share
    return (lost if inside else math.sqrt(lost)) <= eps * float(info.eps)


def _update(moment: Array, grad: Array, keep: float, share: float, hidden: bool) -> Array:
    """s = keep * s + share * g^2, in place; its root."""
    info = np.finfo(moment.dtype)
    root = np.hypot(math.sqrt(keep) * _root(moment), math.sqrt(share) * np.abs(grad))
    square = keep * moment + share * grad * grad
    smallest = 0 if hidden else info.tiny / info.eps
    ordinary = (moment >= 0) & (square >= smallest) & (square <= info.max)
    again = root * root
    beyond = ((again < info.tiny) | (again > info.max)) & (root > 0) & (root <= info.max)
    moment[...] = np.where(ordinary, square, np.where(beyond, -root, again))
    return np.where(ordinary, np.sqrt(square), root)


def _with_eps(root: Array, eps: float, inside: bool) -> Array:
    """sqrt(s + eps), or sqrt(s) + eps, from the root of s; above 0 even where the type cannot hold eps."""
    least = max(math.sqrt(eps) if inside else eps, float(np.finfo(root.dtype).tiny)) if eps else 0.0
    return np.hypot(root, root.dtype.type(least)) if inside else np.maximum(root + eps, least)


def _correction(beta: float, step: int) -> float:
    """1 - beta^step, to relative accuracy for a beta near 1 too."""
    return -math.expm1(step * math.log(beta)) if beta else 1.0


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
    step = _times(lr, _penalised(grad, param, weight_decay, l1))
    if momentum_buffer is None:
        param -= step
        return
    momentum_buffer[...] = _times(momentum, momentum_buffer) - step
    param += _times(momentum, momentum_buffer) - step if nesterov else momentum_buffer


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
    correction = math.sqrt(_correction(beta2, step))
    scaled_eps = eps * correction
    g = _penalised(grad, param, 0.0 if decoupled else weight_decay, l1)
    exp_avg[...] = _times(beta1, exp_avg) + (1 - beta1) * g
    root = _update(exp_avg_sq, g, beta2, 1 - beta2, _hidden(g.dtype, 1 - beta2, scaled_eps, False))
    if max_exp_avg_sq is not None:
        most = _root(max_exp_avg_sq)
        max_exp_avg_sq[...] = np.where((most > root) | np.isnan(most), max_exp_avg_sq, exp_avg_sq)
        root = np.maximum(most, root)
    change = _times(lr / _correction(beta1, step) * correction, exp_avg / _with_eps(root, scaled_eps, False))
    param[...] = (_times(1 - lr * weight_decay, param) if decoupled else param) - change


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
    root = _update(square_avg, g, alpha, 1 - alpha, _hidden(g.dtype, 1 - alpha, eps, eps_inside))
    param -= _times(lr, g / _with_eps(root, eps, eps_inside))


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
    root = _update(square_sum, g, 1.0, 1.0, _hidden(g.dtype, 1 / _ADAGRAD_STEPS, eps, eps_inside))
    param -= _times(lr, g / _with_eps(root, eps, eps_inside))


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
    hidden = _hidden(g.dtype, 1 - rho, eps, True)
    before = _with_eps(_root(acc_delta), eps, True)
    d = before * (g / _with_eps(_update(square_avg, g, rho, 1 - rho, hidden), eps, True))
    _update(acc_delta, d, rho, 1 - rho, hidden)
    param -= _times(lr, d)
