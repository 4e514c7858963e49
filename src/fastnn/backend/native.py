"""The compiled backend: allocates outputs and calls the kernels.

Same names and signatures as `fastnn.backend.reference`, which says what each function computes.
Elementwise functions are the bindings themselves: for small arrays a Python frame would cost more than the kernel.
"""

from __future__ import annotations

from .._core import (
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
)

__all__ = [
    "leaky_relu_backward",
    "leaky_relu_forward",
    "relu_backward",
    "relu_forward",
]
