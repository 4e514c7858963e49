"""Differentiation in reverse and forward mode: `Tensor`, the tape, and the operations that don't belong to `fastnn.functional`."""

from .anomaly import detect_anomaly
from .core import raw, record
from .custom import differentiable
from .graph import self_adjoint
from .modes import enable_grad, is_grad_enabled, no_grad
from .ops import absolute, exp, log, maximum, minimum, sqrt, where
from .several import record_many
from .shaping import concatenate, stack
from .tensors import Tensor, tensor
from .transforms import grad, jvp, value_and_grad, vjp

__all__ = [
    "Tensor",
    "absolute",
    "concatenate",
    "detect_anomaly",
    "differentiable",
    "enable_grad",
    "exp",
    "grad",
    "is_grad_enabled",
    "jvp",
    "log",
    "maximum",
    "minimum",
    "no_grad",
    "raw",
    "record",
    "record_many",
    "self_adjoint",
    "sqrt",
    "stack",
    "tensor",
    "value_and_grad",
    "vjp",
    "where",
]
