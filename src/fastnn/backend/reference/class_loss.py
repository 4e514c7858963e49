"""Losses of rows of scores x (outer, n, inner): cross-entropy of probabilities, negative log-likelihood, hinge.

The losses stand in the shape of the positions, (n, ...), or where there is a divisor their sum by it is given, of shape ().
"""

from __future__ import annotations

import numpy as np

from ...checks import Softmax
from ._common import (
    Array,
    class_weights,
    each_share,
    per_position,
    quiet,
    reduced,
    row_sums,
    shares,
    targets_of,
    weighted,
)


def _mixed(g: Softmax, target: Array, weight: Array | None, label_smoothing: float) -> Array:
    """q = w * ((1 - s) * p + s / n)."""
    p: Array = target.reshape(g)
    return np.asarray(class_weights(g, weight, p) * ((1 - label_smoothing) * p + label_smoothing / g.n))


@quiet
def soft_cross_entropy_forward(
    g: Softmax,
    logits: Array,
    target: Array,
    weight: Array | None,
    label_smoothing: float,
    divisor: float | None = None,
) -> tuple[Array, Array]:
    """loss = sum over c of q[c] * (lse - x[c]), (n, ...), and lse = log(sum of exp(x)), (outer * inner,)."""
    x: Array = logits.reshape(g)
    top = x.max(axis=1, keepdims=True)
    log_sum = np.log(row_sums(np.exp(x - top)))
    loss = row_sums(weighted(_mixed(g, target, weight, label_smoothing), log_sum - (x - top)))
    return reduced(per_position(loss, logits), divisor), (top + log_sum).reshape(-1)


@quiet
def soft_cross_entropy_backward(
    g: Softmax,
    dloss: Array,
    logits: Array,
    target: Array,
    weight: Array | None,
    label_smoothing: float,
    lse: Array,
    divisor: float | None = None,
) -> Array:
    """dx = dloss / divisor * (softmax(x) * sum of q - q)."""
    q = _mixed(g, target, weight, label_smoothing)
    p = np.exp(logits.reshape(g) - lse.reshape(g.outer, 1, g.inner))
    p /= row_sums(p)
    dx: Array = each_share(g, dloss, divisor) * (p * row_sums(q) - q)
    return dx.reshape(logits.shape)


@quiet
def nll_loss_forward(
    g: Softmax, x: Array, target: Array, weight: Array | None, ignore_index: int, divisor: float | None = None
) -> Array:
    """loss = -w[t] * x[t], 0 where t is ignore_index."""
    x3: Array = x.reshape(g)
    t, counts = targets_of(g, target, ignore_index)
    loss = np.take_along_axis(weighted(class_weights(g, weight, x3), -x3), t, 1)
    return reduced(per_position(np.where(counts, loss, x.dtype.type(0)), x), divisor)


@quiet
def nll_loss_backward(
    g: Softmax,
    dloss: Array,
    x: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    divisor: float | None = None,
) -> Array:
    """dx = -w[t] * dloss / divisor at t, else 0."""
    t, counts = targets_of(g, target, ignore_index)
    hit = (np.arange(g.n)[None, :, None] == t) & counts
    slope = -class_weights(g, weight, dloss) * each_share(g, dloss, divisor)
    return np.where(hit, slope, dloss.dtype.type(0)).reshape(x.shape)


def _hinges(x: Array, target: Array, margin: float) -> Array:
    """h[c] = max(0, margin - (x[t] - x[c])), and 0 at t.

    The difference comes first: beside large scores the margin would be lost, and an infinite one taken from itself.
    """
    t = target[:, None]
    h = np.maximum(0, margin - (np.take_along_axis(x, t, 1) - x))
    return np.where(np.arange(x.shape[1]) == t, x.dtype.type(0), h)


@quiet
def multi_margin_loss_forward(
    x: Array, target: Array, weight: Array | None, margin: float, squared: bool, divisor: float | None = None
) -> Array:
    """loss = w[t] / n * sum of h (or h^2) over the other classes; x (rows, n)."""
    h = _hinges(x, target, margin)
    # The terms are divided before they are added, so that the sum does not overflow where the mean does not.
    terms = h / x.shape[1] * h if squared else h / x.shape[1]
    loss = row_sums(terms[:, :, None]).reshape(-1)
    return reduced(loss if weight is None else weighted(weight[target], loss), divisor)


@quiet
def multi_margin_loss_backward(
    dloss: Array,
    x: Array,
    target: Array,
    weight: Array | None,
    margin: float,
    squared: bool,
    divisor: float | None = None,
) -> Array:
    """dx[c] = dloss / divisor * w[t] / n * (1 where h > 0, or 2 h), NaN where h is, and dx[t] = minus the sum of those."""
    h = _hinges(x, target, margin)
    share = np.broadcast_to(shares(dloss, divisor).reshape(-1), len(x))
    d = (share if weight is None else share * weight[target])[:, None] / x.shape[1]
    dx = weighted(2 * d, h) if squared else np.where(h > 0, d, h)
    np.put_along_axis(dx, target[:, None], 0, 1)
    np.put_along_axis(dx, target[:, None], -dx.sum(axis=1, keepdims=True), 1)
    return np.asarray(dx.astype(x.dtype))
