"""Neural networks on plain NumPy arrays, as fast as the CPU allows."""

from . import autograd, backend
from .autograd import (
    Tensor,
    absolute,
    concatenate,
    enable_grad,
    exp,
    grad,
    is_grad_enabled,
    log,
    maximum,
    minimum,
    no_grad,
    sqrt,
    stack,
    tensor,
    value_and_grad,
    where,
)
from .backend import use_backend

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "__version__",
    "absolute",
    "autograd",
    "backend",
    "concatenate",
    "enable_grad",
    "exp",
    "grad",
    "is_grad_enabled",
    "log",
    "maximum",
    "minimum",
    "no_grad",
    "sqrt",
    "stack",
    "tensor",
    "use_backend",
    "value_and_grad",
    "where",
]
