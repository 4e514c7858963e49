"""Bindings to the compiled kernels; arrays are C-contiguous, aligned, in native byte order, and of one dtype."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .checks import AdaptivePool, Conv, GroupNorm, Norm, Pool, Softmax

Array: TypeAlias = NDArray[Any]

# memory
def cache_limit() -> int: ...
def set_cache_limit(size: int) -> None: ...
def cached_bytes() -> int: ...
def empty_cache() -> None: ...
def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...

# settings
def compiled_isas() -> list[str]: ...
def usable_isas() -> list[str]: ...
def active_isa() -> str: ...
def set_isa(name: str) -> None: ...
def last_level_cache() -> int: ...
def set_last_level_cache(bytes: int) -> None: ...
def num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def thread_cost() -> float: ...
def set_thread_cost(ns: float) -> None: ...
def team_parts() -> int: ...
def has_openmp() -> bool: ...

# plan
def planned(
    plan: Callable[..., Any],
    full: Callable[..., Any],
    name: str = "",
    recorded: Callable[..., Any] | None = None,
    inputs: tuple[int, ...] = (),
) -> Callable[..., Any]: ...
def use_tape(tensor: type, mode: Any, record: Callable[..., Any], backend: Any) -> None: ...

# values
def values_within(x: Array, low: float, high: float) -> bool: ...
def values_are_signs(x: Array) -> bool: ...
def numbers_below(x: Array, end: int) -> bool: ...

# activation
def add(a: Array, b: Array, out: Array | None) -> Array: ...
def relu_forward(x: Array) -> Array: ...
def relu_backward(dy: Array, x: Array) -> Array: ...
def leaky_relu_forward(x: Array, negative_slope: float) -> Array: ...
def leaky_relu_backward(dy: Array, x: Array, negative_slope: float) -> Array: ...
def elu_forward(x: Array, alpha: float) -> Array: ...
def elu_backward(dy: Array, x: Array, alpha: float) -> Array: ...
def sigmoid_forward(x: Array) -> Array: ...
def sigmoid_backward(dy: Array, y: Array) -> Array: ...
def tanh_forward(x: Array) -> Array: ...
def tanh_backward(dy: Array, y: Array) -> Array: ...
def selu_forward(x: Array) -> Array: ...
def selu_backward(dy: Array, x: Array) -> Array: ...
def gelu_forward(x: Array) -> Array: ...
def gelu_backward(dy: Array, x: Array) -> Array: ...
def gelu_tanh_forward(x: Array) -> Array: ...
def gelu_tanh_backward(dy: Array, x: Array) -> Array: ...
def silu_forward(x: Array) -> Array: ...
def silu_backward(dy: Array, x: Array) -> Array: ...
def hardsigmoid_forward(x: Array) -> Array: ...
def hardsigmoid_backward(dy: Array, x: Array) -> Array: ...
def softplus_forward(x: Array, beta: float, threshold: float) -> Array: ...
def softplus_backward(dy: Array, x: Array, beta: float, threshold: float) -> Array: ...
def prelu_forward(g: Norm, x: Array, weight: Array) -> Array: ...
def prelu_backward(g: Norm, dy: Array, x: Array, weight: Array) -> tuple[Array, Array]: ...
def rrelu_forward(x: Array, lower: float, upper: float, key: int) -> Array: ...
def rrelu_backward(dy: Array, x: Array, lower: float, upper: float, key: int) -> Array: ...
def maxout_forward(g: Softmax, x: Array, shape: tuple[int, ...]) -> Array: ...
def maxout_backward(g: Softmax, dy: Array, x: Array) -> Array: ...
def dropout_forward(x: Array, p: float, key: int) -> Array: ...
def spatial_dropout_forward(x: Array, planes: int, p: float, key: int) -> Array: ...

# softmax
def softmax_forward(g: Softmax, x: Array) -> Array: ...
def softmax_backward(g: Softmax, dy: Array, y: Array) -> Array: ...
def log_softmax_forward(g: Softmax, x: Array) -> Array: ...
def log_softmax_backward(g: Softmax, dy: Array, y: Array) -> Array: ...
def cross_entropy_forward(
    g: Softmax,
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    divisor: float | None = None,
) -> tuple[Array, Array]: ...
def cross_entropy_backward(
    g: Softmax,
    dloss: Array,
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    lse: Array,
    divisor: float = 1,
) -> Array: ...

# loss
def mse_loss_forward(x: Array, target: Array, divisor: float | None) -> Array: ...
def mse_loss_backward(dloss: Array, x: Array, target: Array, divisor: float = 1) -> Array: ...
def l1_loss_forward(x: Array, target: Array, divisor: float | None) -> Array: ...
def l1_loss_backward(dloss: Array, x: Array, target: Array, divisor: float = 1) -> Array: ...
def huber_loss_forward(x: Array, target: Array, delta: float, divisor: float | None) -> Array: ...
def huber_loss_backward(dloss: Array, x: Array, target: Array, delta: float, divisor: float = 1) -> Array: ...
def hinge_loss_forward(x: Array, target: Array, margin: float, divisor: float | None) -> Array: ...
def hinge_loss_backward(dloss: Array, x: Array, target: Array, margin: float, divisor: float = 1) -> Array: ...
def kl_div_forward(x: Array, target: Array, divisor: float | None) -> Array: ...
def kl_div_backward(dloss: Array, x: Array, target: Array, divisor: float = 1) -> Array: ...
def kl_div_log_forward(x: Array, target: Array, divisor: float | None) -> Array: ...
def kl_div_log_backward(dloss: Array, x: Array, target: Array, divisor: float = 1) -> Array: ...
def bce_with_logits_forward(
    x: Array, target: Array, weight: Array | None, pos_weight: Array | None, divisor: float | None
) -> Array: ...
def bce_with_logits_backward(
    dloss: Array,
    x: Array,
    target: Array,
    weight: Array | None,
    pos_weight: Array | None,
    divisor: float = 1,
) -> Array: ...
def soft_cross_entropy_forward(
    g: Softmax,
    logits: Array,
    target: Array,
    weight: Array | None,
    label_smoothing: float,
    divisor: float | None = None,
) -> tuple[Array, Array]: ...
def soft_cross_entropy_backward(
    g: Softmax,
    dloss: Array,
    logits: Array,
    target: Array,
    weight: Array | None,
    label_smoothing: float,
    lse: Array,
    divisor: float = 1,
) -> Array: ...
def nll_loss_forward(
    g: Softmax, x: Array, target: Array, weight: Array | None, ignore_index: int, divisor: float | None = None
) -> Array: ...
def nll_loss_backward(
    g: Softmax,
    dloss: Array,
    x: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    divisor: float = 1,
) -> Array: ...
def multi_margin_loss_forward(
    x: Array, target: Array, weight: Array | None, margin: float, squared: bool, divisor: float | None = None
) -> Array: ...
def multi_margin_loss_backward(
    dloss: Array,
    x: Array,
    target: Array,
    weight: Array | None,
    margin: float,
    squared: bool,
    divisor: float = 1,
) -> Array: ...

# optim
def sgd_step(
    param: Array,
    grad: Array,
    momentum_buffer: Array | None,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    l1: float,
) -> None: ...
def adam_step(
    param: Array,
    grad: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    max_exp_avg_sq: Array | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    l1: float,
    decoupled: bool,
) -> None: ...
def rmsprop_step(
    param: Array,
    grad: Array,
    square_avg: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    l1: float,
    eps_inside: bool,
) -> None: ...
def adagrad_step(
    param: Array,
    grad: Array,
    square_sum: Array,
    lr: float,
    eps: float,
    weight_decay: float,
    l1: float,
    eps_inside: bool,
) -> None: ...
def adadelta_step(
    param: Array,
    grad: Array,
    square_avg: Array,
    acc_delta: Array,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    l1: float,
) -> None: ...

# conv
def matmul(a: Array, b: Array, trans_a: bool = False, trans_b: bool = False) -> Array: ...
def linear_forward(x: Array, weight: Array, bias: Array | None) -> Array: ...
def matmul_into(a: Array, b: Array, trans_a: bool, trans_b: bool, c: Array) -> None: ...
def linear_backward_bias(dy: Array, dbias: Array) -> None: ...
def set_winograd(wanted: bool) -> None: ...
def conv_paths(g: Conv, is_double: bool) -> tuple[str, str]: ...
def conv_data_paths(g: Conv, is_double: bool) -> set[str]: ...
def conv_forward(g: Conv, x: Array, weight: Array, bias: Array | None) -> Array: ...
def conv_transpose_forward(g: Conv, x: Array, weight: Array, bias: Array | None) -> Array: ...
def conv_backward_weight(g: Conv, dy: Array, x: Array, dweight: Array) -> None: ...
def conv_backward_bias(dy: Array, dbias: Array) -> None: ...

# embedding
def embedding_forward(index: Array, weight: Array) -> Array: ...
def embedding_backward(dy: Array, index: Array, rows: int, skip: int) -> Array: ...

# rnn
def rnn_forward(
    gates: Array,
    h0: Array | None,
    weight: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    reverse: bool,
    relu: bool,
    y: Array,
    h_n: Array,
) -> None: ...
def lstm_forward(
    gates: Array,
    h0: Array | None,
    c0: Array | None,
    weight: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    cells: Array,
    h_n: Array,
    c_n: Array,
) -> None: ...
def gru_forward(
    gates: Array,
    h0: Array | None,
    weight: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    candidate: Array,
    h_n: Array,
) -> None: ...
def rnn_backward(
    dy: Array | None,
    dh_n: Array | None,
    y: Array,
    weight: Array,
    lengths: Array | None,
    reverse: bool,
    relu: bool,
    dgates: Array,
    dh0: Array,
) -> None: ...
def lstm_backward(
    dy: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    gates: Array,
    cells: Array,
    c0: Array | None,
    weight: Array,
    lengths: Array | None,
    reverse: bool,
    dgates: Array,
    dh0: Array,
    dc0: Array,
) -> None: ...
def rnn_backward_weights(
    d: Array,
    x: Array | None,
    y: Array | None,
    h0: Array | None,
    lengths: Array | None,
    reverse: bool,
    units: int,
    dweight_ih: Array | None,
    dweight_hh: Array | None,
    dbias: Array | None,
) -> None: ...
def gru_backward(
    dy: Array | None,
    dh_n: Array | None,
    gates: Array,
    candidate: Array,
    y: Array,
    h0: Array | None,
    weight: Array,
    lengths: Array | None,
    reverse: bool,
    dgates: Array,
    drec: Array,
    dh0: Array,
) -> None: ...

# norm
def batch_norm_train_forward(
    g: Norm,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    momentum: float,
    eps: float,
    residual: Array | None = None,
    relu: bool = False,
    unbiased: bool = True,
) -> tuple[Array, Array, Array]: ...
def batch_norm_eval_forward(
    g: Norm,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    residual: Array | None = None,
    relu: bool = False,
) -> Array: ...
def batch_norm_backward(
    g: Norm,
    training: bool,
    relu: bool,
    dy: Array,
    x: Array,
    y: Array | None,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    rstd: Array,
    dx: Array | None,
    dresidual: Array | None,
    dweight: Array,
    dbias: Array,
) -> None: ...
def layer_norm_forward(
    g: Norm, x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]: ...
def layer_norm_backward(
    g: Norm,
    dy: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    dx: Array | None,
    dweight: Array | None,
    dbias: Array | None,
) -> None: ...
def group_norm_forward(
    g: GroupNorm, x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]: ...
def group_norm_backward(
    g: GroupNorm,
    dy: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    dx: Array | None,
    dweight: Array | None,
    dbias: Array | None,
) -> None: ...
def rms_norm_forward(g: Norm, x: Array, weight: Array | None, eps: float) -> tuple[Array, Array]: ...
def rms_norm_backward(
    g: Norm, dy: Array, x: Array, weight: Array | None, rstd: Array, dx: Array | None, dweight: Array | None
) -> None: ...
def local_response_norm_forward(g: Norm, x: Array, size: int, alpha: float, beta: float, k: float) -> Array: ...
def local_response_norm_backward(
    g: Norm, dy: Array, x: Array, size: int, alpha: float, beta: float, k: float
) -> Array: ...

# pool
def max_pool_forward(g: Pool, x: Array, with_index: bool) -> tuple[Array, Array | None]: ...
def max_pool_backward(g: Pool, dy: Array, index: Array) -> Array: ...
def max_pool_positions(g: Pool, index: Array) -> Array: ...
def max_pool_indices(g: Pool, x: Array) -> tuple[Array, Array]: ...
def avg_pool_forward(g: Pool, x: Array, count_include_pad: bool, divisor_override: int | None = None) -> Array: ...
def avg_pool_backward(g: Pool, dy: Array, count_include_pad: bool, divisor_override: int | None = None) -> Array: ...
def lp_pool_forward(g: Pool, x: Array, p: float) -> Array: ...
def lp_pool_backward(g: Pool, dy: Array, x: Array, y: Array, p: float) -> Array: ...
def adaptive_avg_pool_forward(g: AdaptivePool, x: Array) -> Array: ...
def adaptive_avg_pool_backward(g: AdaptivePool, dy: Array) -> Array: ...
def adaptive_max_pool_forward(g: AdaptivePool, x: Array) -> tuple[Array, Array]: ...
def adaptive_max_pool_indices(g: AdaptivePool, x: Array) -> tuple[Array, Array]: ...
def adaptive_max_pool_backward(g: AdaptivePool, dy: Array, index: Array) -> Array: ...

# probe
def probe_fma(out: Array, steps: int) -> int: ...
def probe_copy(x: Array, y: Array, stream: bool) -> None: ...
def probe_ranges(out: Array, cost: float) -> None: ...
