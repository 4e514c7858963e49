"""Neural networks on plain NumPy arrays, as fast as the CPU allows."""

from . import backend
from .backend import use_backend

__version__ = "0.1.0"

__all__ = ["__version__", "backend", "use_backend"]
