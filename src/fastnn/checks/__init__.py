"""Every check of an argument and all shape arithmetic, once for both backends.

A check takes what the caller passed and gives back the geometry and arrays that a kernel may use without
looking: C-contiguous, aligned, native byte order, one dtype of float32 and float64, consistent shapes. What
cannot be made so is a ``ValueError`` or ``TypeError`` that begins with the name of the public operation.
"""

from .arrays import array, same_dtype
from .geometry import AdaptivePool, Conv, Pool
from .ops import (
    adaptive_pool,
    adaptive_pool_backward,
    conv,
    conv_backward,
    elementwise_backward,
    linear,
    linear_backward,
    matmul,
    pool,
    pool_backward,
)
from .pool_index import positions as pool_positions
from .pool_index import taps as pool_taps
from .scalars import flag, integer, real

__all__ = [
    "AdaptivePool",
    "Conv",
    "Pool",
    "adaptive_pool",
    "adaptive_pool_backward",
    "array",
    "conv",
    "conv_backward",
    "elementwise_backward",
    "flag",
    "integer",
    "linear",
    "linear_backward",
    "matmul",
    "pool",
    "pool_backward",
    "pool_positions",
    "pool_taps",
    "real",
    "same_dtype",
]
