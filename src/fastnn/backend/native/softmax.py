"""Softmax over the middle axis of x (outer, n, inner). Shifting by the maximum keeps exp in range."""

from ..._core import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)

__all__ = [
    "log_softmax_backward",
    "log_softmax_forward",
    "softmax_backward",
    "softmax_forward",
]
