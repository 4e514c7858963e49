"""The NumPy backend: the specification of every kernel, written to be read.

It has the names, signatures and results of `fastnn.backend.native`. Arrays come in checked (see
`fastnn.checks`), float32 or float64; sums of float32 are kept in float64 where that needs no extra pass.
"""

from .activation import (
    elu_backward,
    elu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from .adaptive_pool import (
    adaptive_avg_pool_backward,
    adaptive_avg_pool_forward,
    adaptive_max_pool_backward,
    adaptive_max_pool_forward,
)
from .conv import conv_backward, conv_forward
from .linear import linear_backward, linear_forward, matmul
from .pool import (
    avg_pool_backward,
    avg_pool_forward,
    lp_pool_backward,
    lp_pool_forward,
    max_pool_backward,
    max_pool_forward,
)

__all__ = [
    "adaptive_avg_pool_backward",
    "adaptive_avg_pool_forward",
    "adaptive_max_pool_backward",
    "adaptive_max_pool_forward",
    "avg_pool_backward",
    "avg_pool_forward",
    "conv_backward",
    "conv_forward",
    "elu_backward",
    "elu_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward",
    "linear_forward",
    "lp_pool_backward",
    "lp_pool_forward",
    "matmul",
    "max_pool_backward",
    "max_pool_forward",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "tanh_backward",
    "tanh_forward",
]
