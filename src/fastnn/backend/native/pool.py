"""Pooling over windows: x (n, c, *size) -> y (n, c, *out). Padding is never an element of a window."""

from ..._core import (
    avg_pool_backward,
    avg_pool_forward,
    lp_pool_backward,
    lp_pool_forward,
    max_pool_backward,
    max_pool_backward_at,
    max_pool_forward,
    max_pool_indices,
)

__all__ = [
    "avg_pool_backward",
    "avg_pool_forward",
    "lp_pool_backward",
    "lp_pool_forward",
    "max_pool_backward",
    "max_pool_backward_at",
    "max_pool_forward",
    "max_pool_indices",
]
