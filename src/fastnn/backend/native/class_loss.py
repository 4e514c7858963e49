"""Losses of rows of scores: cross-entropy of probabilities, negative log-likelihood, multi-class hinge."""

from ..._core import (
    multi_margin_loss_backward,
    multi_margin_loss_forward,
    nll_loss_backward,
    nll_loss_forward,
    soft_cross_entropy_backward,
    soft_cross_entropy_forward,
)

__all__ = [
    "multi_margin_loss_backward",
    "multi_margin_loss_forward",
    "nll_loss_backward",
    "nll_loss_forward",
    "soft_cross_entropy_backward",
    "soft_cross_entropy_forward",
]
