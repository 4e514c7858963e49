"""Losses of pairs of elements, l(x, t): each loss, or where there is a divisor their sum by it, of shape ().

The backward functions give dx = dloss / divisor * dl/dx; dloss has one number per element, or one for all.
"""

from __future__ import annotations

import numpy as np

from ._common import Array, quiet, reduced, shares, weighted
from .activation import sigmoid_forward


def _gradient(dloss: Array, slope: Array, divisor: float | None) -> Array:
    dloss = shares(dloss, divisor)
    return np.asarray((dloss if dloss.size == 1 else dloss.reshape(slope.shape)) * slope).reshape(slope.shape)


@quiet
def mse_loss_forward(x: Array, target: Array, divisor: float | None) -> Array:
    """l = (x - t)^2."""
    return reduced((x - target) ** 2, divisor)


@quiet
def mse_loss_backward(dloss: Array, x: Array, target: Array, divisor: float | None = None) -> Array:
    """dl/dx = 2 (x - t)."""
    return _gradient(dloss, 2 * (x - target), divisor)


@quiet
def l1_loss_forward(x: Array, target: Array, divisor: float | None) -> Array:
    """l = |x - t|."""
    return reduced(np.abs(x - target), divisor)


@quiet
def l1_loss_backward(dloss: Array, x: Array, target: Array, divisor: float | None = None) -> Array:
    """dl/dx = sign(x - t)."""
    return _gradient(dloss, np.sign(x - target), divisor)


@quiet
def huber_loss_forward(x: Array, target: Array, delta: float, divisor: float | None) -> Array:
    """l = d^2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), d = x - t."""
    d = np.abs(x - target)
    return reduced(np.where(d > delta, delta * (d - delta / 2), d * d / 2), divisor)


@quiet
def huber_loss_backward(dloss: Array, x: Array, target: Array, delta: float, divisor: float | None = None) -> Array:
    """dl/dx = x - t, cut at ±delta."""
    return _gradient(dloss, np.clip(x - target, -delta, delta), divisor)


@quiet
def hinge_loss_forward(x: Array, target: Array, margin: float, divisor: float | None) -> Array:
    """l = max(0, margin - t * x)."""
    return reduced(np.maximum(0, margin - target * x), divisor)


@quiet
def hinge_loss_backward(dloss: Array, x: Array, target: Array, margin: float, divisor: float | None = None) -> Array:
    """dl/dx = -t where margin - t * x > 0, else 0, and NaN where that is."""
    h = np.maximum(0, margin - target * x)
    return _gradient(dloss, np.where(h > 0, -target, h), divisor)


@quiet
def kl_div_forward(x: Array, target: Array, divisor: float | None) -> Array:
    """l = t * (log t - x), 0 where t is 0; x is a logarithm."""
    entropy = np.where(target == 0, x.dtype.type(0), target * np.log(target))
    return reduced(entropy - weighted(target, x), divisor)


@quiet
def kl_div_backward(dloss: Array, x: Array, target: Array, divisor: float | None = None) -> Array:
    """dl/dx = -t."""
    return _gradient(dloss, -target, divisor)


@quiet
def kl_div_log_forward(x: Array, target: Array, divisor: float | None) -> Array:
    """l = exp(t) * (t - x), both logarithms; 0 where exp(t) is, unless x is NaN."""
    root = np.exp(target / 2)  # e^t itself may be denormal, and so have few digits, where the product is not
    nothing = (root < np.finfo(x.dtype).tiny) & ~np.isnan(x)
    return reduced(np.where(nothing, x.dtype.type(0), root * (root * (target - x))), divisor)


@quiet
def kl_div_log_backward(dloss: Array, x: Array, target: Array, divisor: float | None = None) -> Array:
    """dl/dx = -exp(t)."""
    return _gradient(dloss, -np.exp(target), divisor)


def _or_one(a: Array | None, like: Array) -> Array:
    return np.ones_like(like) if a is None else a


@quiet
def bce_with_logits_forward(
    x: Array, target: Array, weight: Array | None, pos_weight: Array | None, divisor: float | None
) -> Array:
    """l = w * ((1 - t) * softplus(x) + p * t * softplus(-x)), softplus(x) = max(x, 0) + log(1 + exp(-|x|))."""
    w, p = _or_one(weight, x), _or_one(pos_weight, x)
    off, on, soft = 1 - target, p * target, np.log1p(np.exp(-np.abs(x)))
    loss = weighted(np.where(x > 0, off, on), np.abs(x)) + (off + on) * soft
    return reduced(weighted(w, loss).astype(x.dtype), divisor)


@quiet
def bce_with_logits_backward(
    dloss: Array,
    x: Array,
    target: Array,
    weight: Array | None,
    pos_weight: Array | None,
    divisor: float | None = None,
) -> Array:
    """dl/dx = w * ((1 - t) * sigmoid(x) - p * t * sigmoid(-x))."""
    w, p = _or_one(weight, x), _or_one(pos_weight, x)
    return _gradient(dloss, w * ((1 - target) * sigmoid_forward(x) - p * target * sigmoid_forward(-x)), divisor)
