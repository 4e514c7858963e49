"""Cross-entropy of logits x (outer, n, inner) against class indices t (outer, inner).

With logp = x - lse, lse = log(sum of exp(x)), class weights w and smoothing s, the loss of a position is
``-(1 - s) * w[t] * logp[t] - s / n * sum over c of w[c] * logp[c]``, and 0 where t is ignore_index. A class of weight 0
adds nothing, even where its logit is -inf.
"""

from __future__ import annotations

import numpy as np

from ...checks import Softmax
from ._common import Array, class_weights, each_share, per_position, quiet, reduced, row_sums, targets_of, weighted


@quiet
def cross_entropy_forward(
    g: Softmax,
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    divisor: float | None = None,
) -> tuple[Array, Array]:
    """The losses (n, ...) as in the head of this file, or their sum by a divisor; and lse (outer * inner,)."""
    x = logits.reshape(g)
    top = x.max(axis=1, keepdims=True)
    log_sum = np.log(row_sums(np.exp(x - top)))
    t, counts = targets_of(g, target, ignore_index)
    w = class_weights(g, weight, x)
    # lse - x, in an order that keeps the digits of x - max where lse is large.
    nll = log_sum - (x - top)
    loss = np.take_along_axis(weighted((1 - label_smoothing) * w, nll), t, 1)
    if label_smoothing:
        loss = loss + label_smoothing / g.n * row_sums(weighted(w, nll))
    loss = per_position(np.where(counts, loss, x.dtype.type(0)), logits)
    return reduced(loss, divisor), (top + log_sum).reshape(-1)


@quiet
def cross_entropy_backward(
    g: Softmax,
    dloss: Array,
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    lse: Array,
    divisor: float | None = None,
) -> Array:
    """loss = sum over c of q[c] * (lse - x[c]), q = (1 - s) * w[t] at t plus s / n * w everywhere.

    Hence dlogits = dloss / divisor * (p * sum of q - q) with p = exp(x - lse), and 0 where the target is ignored.
    """
    x = logits.reshape(g)
    t, counts = targets_of(g, target, ignore_index)
    w = class_weights(g, weight, x)
    hit = np.arange(g.n)[None, :, None] == t
    q = np.where(hit, (1 - label_smoothing) * w, x.dtype.type(0)) + label_smoothing / g.n * w
    p = np.exp(x - lse.reshape(g.outer, 1, g.inner))
    p /= row_sums(p)  # lse is rounded: at 1e4 in float32 p would be wrong by 5e-4
    dx: Array = each_share(g, dloss, divisor) * (p * row_sums(q) - q)
    dx[np.broadcast_to(~counts, dx.shape)] = 0
    return dx.reshape(logits.shape)
