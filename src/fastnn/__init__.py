"""Neural networks on plain NumPy arrays, as fast as the CPU allows."""

from . import autograd, backend
from .autograd import Tensor, enable_grad, is_grad_enabled, no_grad, tensor
from .backend import use_backend

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "__version__",
    "autograd",
    "backend",
    "enable_grad",
    "is_grad_enabled",
    "no_grad",
    "tensor",
    "use_backend",
]
