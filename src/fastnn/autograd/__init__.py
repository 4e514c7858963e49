"""Reverse-mode differentiation: `Tensor`, the tape, and the operations that don't belong to `fastnn.functional`."""

from .core import Tensor, raw, record, tensor
from .graph import enable_grad, is_grad_enabled, no_grad
from .ops import absolute, exp, log, maximum, minimum, sqrt, where
from .shaping import concatenate, stack
from .transforms import grad, value_and_grad

__all__ = [
    "Tensor",
    "absolute",
    "concatenate",
    "enable_grad",
    "exp",
    "grad",
    "is_grad_enabled",
    "log",
    "maximum",
    "minimum",
    "no_grad",
    "raw",
    "record",
    "sqrt",
    "stack",
    "tensor",
    "value_and_grad",
    "where",
]
