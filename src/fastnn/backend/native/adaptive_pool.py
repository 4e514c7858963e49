"""Adaptive pooling: output i of an axis covers inputs floor(i * size / out) to ceil((i + 1) * size / out)."""

from ..._core import (
    adaptive_avg_pool_backward,
    adaptive_avg_pool_forward,
    adaptive_max_pool_backward,
    adaptive_max_pool_backward_at,
    adaptive_max_pool_forward,
    adaptive_max_pool_indices,
)

__all__ = [
    "adaptive_avg_pool_backward",
    "adaptive_avg_pool_forward",
    "adaptive_max_pool_backward",
    "adaptive_max_pool_backward_at",
    "adaptive_max_pool_forward",
    "adaptive_max_pool_indices",
]
