"""Every check of an argument and all shape arithmetic, once for both backends.

A check takes what the caller passed and gives back the geometry and arrays that a kernel may use without
looking: C-contiguous, aligned, native byte order, one dtype of float32 and float64, consistent shapes. What
cannot be made so is a ``ValueError`` or ``TypeError`` that begins with the name of the public operation.
"""

from .activation import gelu_tanh, interval, maxout, planes, prelu, softplus
from .arrays import array, operand, optional, same_dtype, shown
from .embedding import embedding, embedding_backward
from .geometry import AdaptivePool, Conv, Pool
from .loss import (
    CrossEntropy,
    Softmax,
    broadcast,
    cross_entropy,
    multi_margin_loss,
    nll_loss,
    pair,
    reduction_of,
    signs,
    softmax,
    within_unit,
)
from .norm import (
    GroupNorm,
    Norm,
    batch_norm,
    batch_norm_backward,
    group_norm,
    layer_norm,
    local_response_norm,
    norm_backward,
    rms_norm,
)
from .ops import (
    adaptive_pool,
    adaptive_pool_backward,
    conv,
    conv_backward,
    conv_transpose,
    conv_transpose_backward,
    elementwise_backward,
    linear,
    linear_backward,
    matmul,
    pool,
    pool_backward,
)
from .optim import FlatArray, adam, betas, decay, rate, step_arrays, step_count
from .pool_index import adaptive_indices
from .pool_index import positions as pool_positions
from .pool_index import taps as pool_taps
from .rnn import (
    Recurrent,
    existing,
    existing_steps,
    recurrent,
    recurrent_gradients,
    recurrent_saved,
    sequence_lengths,
    states_before,
)
from .scalars import flag, generator, integer, real

__all__ = [
    "AdaptivePool",
    "Conv",
    "CrossEntropy",
    "FlatArray",
    "GroupNorm",
    "Norm",
    "Pool",
    "Recurrent",
    "Softmax",
    "adam",
    "adaptive_indices",
    "adaptive_pool",
    "adaptive_pool_backward",
    "array",
    "batch_norm",
    "batch_norm_backward",
    "betas",
    "broadcast",
    "conv",
    "conv_backward",
    "conv_transpose",
    "conv_transpose_backward",
    "cross_entropy",
    "decay",
    "elementwise_backward",
    "embedding",
    "embedding_backward",
    "existing",
    "existing_steps",
    "flag",
    "gelu_tanh",
    "generator",
    "group_norm",
    "integer",
    "interval",
    "layer_norm",
    "linear",
    "linear_backward",
    "local_response_norm",
    "matmul",
    "maxout",
    "multi_margin_loss",
    "nll_loss",
    "norm_backward",
    "operand",
    "optional",
    "pair",
    "planes",
    "pool",
    "pool_backward",
    "pool_positions",
    "pool_taps",
    "prelu",
    "rate",
    "real",
    "recurrent",
    "recurrent_gradients",
    "recurrent_saved",
    "reduction_of",
    "rms_norm",
    "same_dtype",
    "sequence_lengths",
    "shown",
    "signs",
    "softmax",
    "softplus",
    "states_before",
    "step_arrays",
    "step_count",
    "within_unit",
]
