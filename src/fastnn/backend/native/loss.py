"""Cross-entropy of logits x (outer, n, inner) against class indices t (outer, inner)."""

from ..._core import (
    cross_entropy_backward,
    cross_entropy_forward,
)

__all__ = [
    "cross_entropy_backward",
    "cross_entropy_forward",
]
