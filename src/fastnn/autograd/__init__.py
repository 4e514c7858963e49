"""Reverse-mode differentiation: `Tensor`, the tape, and the operations that don't belong to `fastnn.functional`."""

from .graph import enable_grad, is_grad_enabled, no_grad
from .tensor import Tensor, raw, record, tensor

__all__ = ["Tensor", "enable_grad", "is_grad_enabled", "no_grad", "raw", "record", "tensor"]
