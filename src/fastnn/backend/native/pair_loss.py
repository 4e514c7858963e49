"""Losses of pairs of elements: each loss, or their sum."""

from ..._core import (
    bce_with_logits_backward,
    bce_with_logits_forward,
    hinge_loss_backward,
    hinge_loss_forward,
    huber_loss_backward,
    huber_loss_forward,
    kl_div_backward,
    kl_div_forward,
    kl_div_log_backward,
    kl_div_log_forward,
    l1_loss_backward,
    l1_loss_forward,
    mse_loss_backward,
    mse_loss_forward,
)

__all__ = [
    "bce_with_logits_backward",
    "bce_with_logits_forward",
    "hinge_loss_backward",
    "hinge_loss_forward",
    "huber_loss_backward",
    "huber_loss_forward",
    "kl_div_backward",
    "kl_div_forward",
    "kl_div_log_backward",
    "kl_div_log_forward",
    "l1_loss_backward",
    "l1_loss_forward",
    "mse_loss_backward",
    "mse_loss_forward",
]
