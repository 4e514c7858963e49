"""Legal arguments of every public function, and values that have no business in them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

import fastnn as fnn
import fastnn.functional as F
from op_table import ELEMENTWISE, arguments_of

_rng = np.random.default_rng(0)


def _f(*shape: int) -> np.ndarray:
    return np.abs(np.asarray(_rng.standard_normal(shape), np.float32)) + np.float32(0.1)


_x3, _x4, _x5 = _f(2, 2, 5), _f(2, 2, 4, 4), _f(2, 2, 3, 4, 4)
_class = np.array([0, 1, 2])

_window: dict[str, Any] = {"stride": 2, "padding": 0, "ceil_mode": False}
_max = {"kernel_size": 2, **_window, "dilation": 1}
_avg = {"kernel_size": 2, **_window, "count_include_pad": True, "divisor_override": None, "dilation": 1}
_lp = {"norm_type": 2.0, "kernel_size": 2, **_window, "dilation": 1}
_conv = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
_needs = {"needs": (True, True, True)}
_transposed = {"stride": 2, "padding": 0, "output_padding": 1, "groups": 1, "dilation": 1}
_affine = {"weight": _f(2), "bias": _f(2), "eps": 1e-5}
_statistics = {"weight": _f(2), "eps": 1e-5, "mean": None, "rstd": None}
_running = {"running_mean": _f(2), "running_var": _f(2)}
_response = {"size": 3, "alpha": 0.1, "beta": 0.75, "k": 1.0}
_resize = {
    "size": None, "scale_factor": 2.0, "mode": "cubic", "align_corners": None, "recompute_scale_factor": False,
    "antialias": True, "coordinates": "tf_crop_and_resize", "nearest_mode": None, "cubic_coeff_a": -0.5,
    "exclude_outside": True, "roi": (0.0, 0.0, 1.0, 1.0), "extrapolation_value": 0.5,
}  # fmt: skip
_entropy = {
    "logits": _f(3, 4), "target": _class, "weight": _f(4), "ignore_index": -100, "reduction": "mean",
    "label_smoothing": 0.1,
}  # fmt: skip


_nll = {"x": _f(3, 4), "target": _class, "weight": _f(4), "ignore_index": -100, "reduction": "mean"}
_margins = {"x": _f(3, 4), "target": _class, "p": 2, "margin": 1.0, "weight": _f(4), "reduction": "mean"}
_binary = {
    "x": _f(3), "target": np.ones(3, np.float32), "weight": _f(3), "reduction": "mean", "pos_weight": _f(1),
}  # fmt: skip


def _step(*state: str, **numbers: Any) -> dict[str, Any]:
    return {**{name: _f(3, 2) for name in ("param", "grad", *state)}, **numbers}


_adam = {"step": 1, "lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1, "l1": 0.1}


def _recurrent(gates: int, *states: str, backward: bool = False, **options: Any) -> dict[str, Any]:
    weights = {"weight_ih": _f(gates * 4, 2), "weight_hh": _f(gates * 4, 4)}
    weights |= {"bias_ih": _f(gates * 4), "bias_hh": _f(gates * 4)}
    call = {"x": _f(3, 2, 2), **{f"{s}0": _f(2, 4) for s in states}, **weights, **options}
    call |= {"lengths": np.array([3, 1]), "reverse": True}
    if not backward:
        return {**call, "return_saved": True}
    return {"dy": _f(3, 2, 4), **call, **{f"d{s}_n": _f(2, 4) for s in states}, "saved": None}


def _elementwise() -> Iterator[tuple[str, dict[str, Any]]]:
    for op in ELEMENTWISE:
        options = {name: values[-1] for name, values in arguments_of(op).items()}
        _, saved, *_ = inspect.signature(getattr(F, op.backward_name)).parameters
        yield op.name, {"x": _x4, **options}
        yield op.backward_name, {"dy": _x4, saved: _x4, **options}


# Every public function with all its arguments by name.
LEGAL: dict[str, dict[str, Any]] = {
    **dict(_elementwise()),
    "add": {"a": _x4, "b": _x4},
    "add_backward": {"dy": _x4},
    "prelu": {"x": _x4, "weight": _f(2)},
    "prelu_backward": {"dy": _x4, "x": _x4, "weight": _f(1)},
    "rrelu": {"x": _x4, "lower": 0.125, "upper": 0.5, "training": True, "rng": 0},
    "rrelu_backward": {"dy": _x4, "x": _x4, "lower": 0.125, "upper": 0.5, "training": True, "rng": 0},
    "maxout": {"x": _x4, "k": 2, "axis": 1},
    "maxout_backward": {"dy": _f(2, 1, 4, 4), "x": _x4, "k": 2, "axis": 1},
    "pixel_shuffle": {"x": _f(2, 4, 3, 3), "upscale_factor": 2},
    "pixel_shuffle_backward": {"dy": _x4, "upscale_factor": 2},
    "pixel_unshuffle": {"x": _x4, "downscale_factor": 2},
    "pixel_unshuffle_backward": {"dy": _f(2, 4, 3, 3), "downscale_factor": 2},
    "softmax": {"x": _x4, "axis": 1},
    "softmax_backward": {"dy": _x4, "y": _x4, "axis": 1},
    "log_softmax": {"x": _x4, "axis": 1},
    "log_softmax_backward": {"dy": _x4, "y": _x4, "axis": 1},
    "linear": {"x": _f(3, 4), "weight": _f(2, 4), "bias": _f(2)},
    "linear_backward": {"dy": _f(3, 2), "x": _f(3, 4), "weight": _f(2, 4), **_needs},
    "matmul": {"a": _f(3, 4), "b": _f(4, 2)},
    "matmul_backward": {"dy": _f(3, 2), "a": _f(3, 4), "b": _f(4, 2)},
    "pad": {"x": _x4, "padding": (1, 2, 0, 1), "mode": "constant", "value": 1.5},
    "pad_backward": {"dy": _f(2, 2, 5, 7), "x_shape": _x4.shape, "padding": ((0, 0), (0, 0), (0, 1), (1, 2)), "mode": "reflect"},
    "embedding": {"index": np.array([[0, 4], [2, 2]]), "weight": _f(5, 3), "padding_idx": 1},
    "embedding_backward": {"dy": _f(2, 2, 3), "index": np.array([[0, 4], [2, 2]]), "num_embeddings": 5, "padding_idx": 1},
    "rnn": _recurrent(1, "h", nonlinearity="relu"),
    "rnn_backward": _recurrent(1, "h", backward=True, nonlinearity="relu"),
    "lstm": _recurrent(4, "h", "c", peepholes=_f(12)),
    "lstm_backward": _recurrent(4, "h", "c", backward=True, peepholes=_f(12)),
    "gru": _recurrent(3, "h", reset_after=False),
    "gru_backward": _recurrent(3, "h", backward=True, reset_after=False),
    "conv_output_shape": {"x_shape": (2, 2, 4, 4), "weight_shape": (2, 2, 3, 3), **_conv},
    "conv_transpose_output_shape": {"x_shape": (2, 2, 4, 4), "weight_shape": (2, 3, 3, 3), **_transposed},
    "pool_output_shape": {"x_shape": (2, 2, 4, 4), **_max},
    "conv1d": {"x": _x3, "weight": _f(2, 2, 3), "bias": _f(2), **_conv},
    "conv1d_backward": {"dy": _f(2, 2, 3), "x": _x3, "weight": _f(2, 2, 3), **_conv, **_needs},
    "conv2d": {"x": _x4, "weight": _f(2, 2, 3, 3), "bias": _f(2), **_conv},
    "conv2d_backward": {"dy": _f(2, 2, 2, 2), "x": _x4, "weight": _f(2, 2, 3, 3), **_conv, **_needs},
    "conv3d": {"x": _x5, "weight": _f(2, 2, 2, 3, 3), "bias": _f(2), **_conv},
    "conv3d_backward": {"dy": _f(2, 2, 2, 2, 2), "x": _x5, "weight": _f(2, 2, 2, 3, 3), **_conv, **_needs},
    "conv_transpose1d": {"x": _x3, "weight": _f(2, 3, 3), "bias": _f(3), **_transposed},
    "conv_transpose1d_backward": {"dy": _f(2, 3, 12), "x": _x3, "weight": _f(2, 3, 3), **_transposed, **_needs},
    "conv_transpose2d": {"x": _x4, "weight": _f(2, 3, 3, 3), "bias": _f(3), **_transposed},
    "conv_transpose2d_backward": {"dy": _f(2, 3, 10, 10), "x": _x4, "weight": _f(2, 3, 3, 3), **_transposed, **_needs},
    "conv_transpose3d": {"x": _x5, "weight": _f(2, 3, 1, 3, 3), "bias": _f(3), **_transposed},
    "conv_transpose3d_backward": {"dy": _f(2, 3, 6, 10, 10), "x": _x5, "weight": _f(2, 3, 1, 3, 3), **_transposed, **_needs},
    "max_pool1d": {"x": _x3, **_max, "return_indices": False},
    "max_pool1d_backward": {"dy": _f(2, 2, 2), "x": _x3, **_max, "indices": None},
    "max_pool2d": {"x": _x4, **_max, "return_indices": True},
    "max_pool2d_backward": {"dy": _f(2, 2, 2, 2), "x": _x4, **_max, "indices": None},
    "max_pool3d": {"x": _x5, **_max, "return_indices": True},
    "max_pool3d_backward": {"dy": _f(2, 2, 1, 2, 2), "x": _x5, **_max, "indices": None},
    "avg_pool1d": {"x": _x3, **_avg},
    "avg_pool1d_backward": {"dy": _f(2, 2, 2), "x_shape": _x3.shape, **_avg},
    "avg_pool2d": {"x": _x4, **_avg},
    "avg_pool2d_backward": {"dy": _f(2, 2, 2, 2), "x_shape": _x4.shape, **_avg},
    "avg_pool3d": {"x": _x5, **_avg},
    "avg_pool3d_backward": {"dy": _f(2, 2, 1, 2, 2), "x_shape": _x5.shape, **_avg},
    "lp_pool1d": {"x": _x3, **_lp},
    "lp_pool1d_backward": {"dy": _f(2, 2, 2), "x": _x3, **_lp},
    "lp_pool2d": {"x": _x4, **_lp},
    "lp_pool2d_backward": {"dy": _f(2, 2, 2, 2), "x": _x4, **_lp},
    "lp_pool3d": {"x": _x5, **_lp},
    "lp_pool3d_backward": {"dy": _f(2, 2, 1, 2, 2), "x": _x5, **_lp},
    "adaptive_avg_pool1d": {"x": _x3, "output_size": 2},
    "adaptive_avg_pool1d_backward": {"dy": _f(2, 2, 2), "x_shape": _x3.shape, "output_size": 2},
    "adaptive_avg_pool2d": {"x": _x4, "output_size": 2},
    "adaptive_avg_pool2d_backward": {"dy": _f(2, 2, 2, 2), "x_shape": _x4.shape, "output_size": 2},
    "adaptive_avg_pool3d": {"x": _x5, "output_size": 2},
    "adaptive_avg_pool3d_backward": {"dy": _f(2, 2, 2, 2, 2), "x_shape": _x5.shape, "output_size": 2},
    "interpolate": {"x": _x4, **_resize},
    "interpolate_backward": {"dy": _f(2, 2, 8, 8), "x_shape": _x4.shape, **_resize},
    "adaptive_max_pool1d": {"x": _x3, "output_size": 2, "return_indices": False},
    "adaptive_max_pool1d_backward": {"dy": _f(2, 2, 2), "x": _x3, "output_size": 2, "indices": None},
    "adaptive_max_pool2d": {"x": _x4, "output_size": 2, "return_indices": True},
    "adaptive_max_pool2d_backward": {"dy": _f(2, 2, 2, 2), "x": _x4, "output_size": 2, "indices": None},
    "adaptive_max_pool3d": {"x": _x5, "output_size": 2, "return_indices": True},
    "adaptive_max_pool3d_backward": {"dy": _f(2, 2, 2, 2, 2), "x": _x5, "output_size": 2, "indices": None},
    "batch_norm": {
        "x": _x4, **_running, **_affine, "training": True, "momentum": 0.9, "unbiased": False,
    },
    "batch_norm_relu": {
        "x": _x4, **_running, **_affine, "residual": _x4, "training": True, "momentum": 0.9, "unbiased": True,
    },
    "batch_norm_backward": {"dy": _x4, "x": _x4, **_statistics, **_running, "training": True},
    "batch_norm_relu_backward": {"dy": _x4, "x": _x4, "y": _x4, **_statistics, **_running, "training": False},
    "layer_norm": {"x": _x4, "normalized_shape": (4, 4), "weight": _f(4, 4), "bias": _f(4, 4), "eps": 1e-5},
    "layer_norm_backward": {"dy": _x4, "x": _x4, "normalized_shape": (4, 4), **_statistics, "weight": _f(4, 4)},
    "group_norm": {"x": _x4, "num_groups": 2, **_affine},
    "group_norm_backward": {"dy": _x4, "x": _x4, "num_groups": 2, **_statistics},
    "instance_norm": {
        "x": _x4, **_affine, **_running, "use_input_stats": True, "momentum": 0.9, "unbiased": False,
    },
    "instance_norm_backward": {"dy": _x4, "x": _x4, **_statistics, **_running, "use_input_stats": True},
    "rms_norm": {"x": _x4, "normalized_shape": (4, 4), "weight": _f(4, 4), "eps": None},
    "rms_norm_backward": {"dy": _x4, "x": _x4, "normalized_shape": (4, 4), "weight": _f(4, 4), "eps": 0.1, "rstd": None},
    "local_response_norm": {"x": _x4, **_response},
    "local_response_norm_backward": {"dy": _x4, "x": _x4, **_response},
    "cross_entropy": _entropy,
    "cross_entropy_backward": {**_entropy, "dloss": None},
    "mse_loss": {"x": _x4, "target": _x4, "reduction": "mean"},
    "mse_loss_backward": {"x": _x4, "target": _x4, "reduction": "none", "dloss": _x4},
    "l1_loss": {"x": _x4, "target": _x4, "reduction": "none"},
    "l1_loss_backward": {"x": _x4, "target": _x4, "reduction": "none", "dloss": _x4},
    "huber_loss": {"x": _x4, "target": _x4, "delta": 1.0, "reduction": "sum"},
    "huber_loss_backward": {"x": _x4, "target": _x4, "delta": 1.0, "reduction": "sum", "dloss": None},
    "hinge_loss": {"x": _f(3), "target": np.ones(3, np.float32), "margin": 1.0, "reduction": "mean"},
    "hinge_loss_backward": {
        "x": _f(3), "target": np.ones(3, np.float32), "margin": 1.0, "reduction": "none", "dloss": _f(3),
    },
    "kl_div": {"x": _f(3), "target": np.ones(3, np.float32), "reduction": "batchmean", "log_target": False},
    "kl_div_backward": {
        "x": _f(3), "target": np.ones(3, np.float32), "reduction": "batchmean", "log_target": True,
        "dloss": np.full((), 0.5, np.float32),
    },
    "binary_cross_entropy_with_logits": _binary,
    "binary_cross_entropy_with_logits_backward": {**_binary, "dloss": None},
    "nll_loss": _nll,
    "nll_loss_backward": {**_nll, "dloss": None},
    "multi_margin_loss": _margins,
    "multi_margin_loss_backward": {**_margins, "dloss": None},
    **{
        name: {argument: x, "p": 0.5, "training": True, "rng": 0}
        for op, x in (("dropout", _x4), ("dropout1d", _x3), ("dropout2d", _x4), ("dropout3d", _f(2, 2, 2, 2, 2)))
        for name, argument in ((op, "x"), (op + "_backward", "dy"))
    },
    "sgd_step": _step("momentum_buffer", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, l1=0.1),
    "adam_step": _step("exp_avg", "exp_avg_sq", "max_exp_avg_sq", **_adam),
    "adamw_step": _step("exp_avg", "exp_avg_sq", "max_exp_avg_sq", **_adam),
    "rmsprop_step": _step("square_avg", lr=0.1, alpha=0.9, eps=1e-8, weight_decay=0.1, l1=0.1, eps_inside=True),
    "adagrad_step": _step("square_sum", lr=0.1, eps=1e-8, weight_decay=0.1, l1=0.1, eps_inside=True),
    "adadelta_step": _step("square_avg", "acc_delta", lr=0.1, rho=0.9, eps=1e-8, weight_decay=0.1, l1=0.1),
}  # fmt: skip

# Arguments that a function writes to.
IN_PLACE = {
    "batch_norm": ("running_mean", "running_var"),
    "batch_norm_relu": ("running_mean", "running_var"),
    "instance_norm": ("running_mean", "running_var"),
    "sgd_step": ("param", "momentum_buffer"),
    "adam_step": ("param", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "adamw_step": ("param", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "adagrad_step": ("param", "square_sum"),
    "adadelta_step": ("param", "square_avg", "acc_delta"),
    "rmsprop_step": ("param", "square_avg"),
}


class Raises:
    """Every question that is asked of it raises."""

    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise KeyError("no array")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


_cyclic: list[Any] = []
_cyclic.append(_cyclic)

_HUGE = [2**31 - 1, 2**31, 2**32, 2**61, 2**62, 2**63 - 1, 2**63, 2**64, 10**30, 10**400]

SCALARS: list[Any] = [
    None, True, False, 0, 1, 2, 3, -1, -(2**31), -(10**30), *_HUGE,
    0.0, 1.0, 1.5, -0.5, float("nan"), float("inf"), -float("inf"), 1e308, 5e-324, 1j,
    "", "1", "same", "valid", "full", "mean", b"x",
    (), (1,), (1, 1), (2, 2), (1, 1, 1), [1, 1], (0, 0), (-1, 1), (1.0, 1), (True, 1), (None, None), (None, 1),
    [[1, 1], [1, 1]], ((1, 2), (0, 1)), ((1, 2),), ((1, 2, 3), (1, 1)),
    (2**62, 1), (1, 2**62), ((2**62, 0), (0, 2**62)), _cyclic,
    {}, {1: 2}, set(), object(), Raises(), len, range(2),
    np.int64(1), np.int8(-1), np.uint64(2**64 - 1), np.float32(2), np.float64("nan"), np.bool_(True),
    np.datetime64("2020"), np.array(1), np.array([1, 1]), np.array([1.0, 1.0]),
]  # fmt: skip


def _read_only() -> np.ndarray:
    a = _x4.copy()
    a.flags.writeable = False
    return a


_one = np.float32(1)

ARRAYS: list[Any] = [
    *SCALARS, _x4, _read_only(), _x4[::-1], _x4[:, ::-1, ::2], _x4.T,
    *(_x4.astype(t) for t in ("f8", "f2", "g", "i8", "?", "c8", ">f4")),
    *(_f(*shape) for shape in [(), (0,), (2,), (4,), (2, 2), (2, 2, 4), (2, 2, 4, 4, 1)]),
    *(_f(*shape) for shape in [(0, 2, 4, 4), (2, 0, 4, 4), (2, 2, 0, 4), (0, 0, 0, 0)]),
    np.full((2, 2, 4, 4), np.nan, np.float32),
    _f(*(1,) * 40), _f(*(1,) * 60, 2, 2, 4, 4),  # some of NumPy's functions take no more than 32 axes, and no array has over 64
    # More elements than there is memory for, or none at all along an axis that is as long.
    np.broadcast_to(_one, (2**40, 2)), np.broadcast_to(_one, (2, 2, 2**20, 2**20)),
    np.empty((2**40, 0), np.float32), np.empty((0, 2**40), np.float32), np.empty((0, 2**20, 2**20), np.float32),
    np.empty((2, 2, 2**40, 0), np.float32),
    np.array(["a"]), np.array([object()]), np.zeros(3, dtype=[("a", "f4")]), np.ma.masked_array(_x4),
    np.zeros(257, np.uint8)[1:].view(np.float32).reshape(2, 2, 4, 4),
    fnn.tensor(_x4), fnn.tensor(np.arange(4)),
]  # fmt: skip
