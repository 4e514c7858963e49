"""Bad input is a ValueError or TypeError with the op's name, on both backends, and changes nothing."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fastnn as fnn
import fastnn.functional as F
from bad_input import ARRAYS, IN_PLACE, LEGAL, SCALARS
from fastnn import checks, nn
from fastnn.checks.geometry import conv_geometry, pool_geometry

OPS = sorted(LEGAL)
MAY_BE_ARRAYS = ("mean", "rstd", "indices", "dloss", "x_shape", "weight_shape")


@pytest.fixture(autouse=True)
def _small_machine(monkeypatch):
    """What is too large for memory shall not depend on the machine."""
    monkeypatch.setattr("fastnn.checks.arrays.MAX_ELEMENTS", 2**24)


@pytest.fixture(params=fnn.backend.available_backends())
def backend(request):
    fnn.use_backend(request.param)
    return request.param


def legal(op, **changes):
    """The legal arguments, with arrays to write to that are the caller's own."""
    arguments = {**LEGAL[op], **changes}
    return {
        name: value.copy() if name in IN_PLACE.get(op, ()) and name not in changes else value
        for name, value in arguments.items()
    }


def snapshot(arguments):
    return {k: v.tobytes() for k, v in arguments.items() if isinstance(v, np.ndarray) and v.size < 1000}


def problem(op, arguments):
    """What is wrong with how a call ended, or None."""
    before = snapshot(arguments)
    try:
        getattr(F, op)(**arguments)
    except (ValueError, TypeError) as error:
        if not str(error).startswith(op + ": "):
            return f"unnamed {type(error).__name__}: {error}"
        changed = [k for k, v in snapshot(arguments).items() if v != before[k]]
        return f"refused but changed {changed}" if changed else None
    except Exception as error:  # noqa: BLE001 - any other is what the tests look for
        return f"{type(error).__name__}: {error}"
    inputs = {k: v for k, v in before.items() if k not in IN_PLACE.get(op, ())}
    after = snapshot(arguments)
    changed = [k for k in inputs if after[k] != inputs[k]]
    return f"changed {changed}" if changed else None


def test_every_function_and_argument_is_here():
    assert set(LEGAL) == set(F.__all__)
    for op, arguments in LEGAL.items():
        assert set(arguments) == set(inspect.signature(getattr(F, op)).parameters), op


@pytest.mark.parametrize("op", OPS)
def test_legal_arguments_are_accepted(op, backend):
    getattr(F, op)(**legal(op))


@pytest.mark.parametrize("op", OPS)
def test_any_value_in_any_place(op, backend):
    wrong = []
    for name, value in LEGAL[op].items():
        array = isinstance(value, np.ndarray) or name in MAY_BE_ARRAYS
        for i, bad in enumerate(ARRAYS if array else SCALARS):
            if (found := problem(op, legal(op, **{name: bad}))) is not None:
                wrong.append(f"{name} = value {i} of type {type(bad).__name__}: {found}")
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("op", OPS)
def test_an_array_of_another_dtype_is_named(op):
    """By its own name, and what it stands beside by one that the function has."""
    arguments, messages = set(inspect.signature(getattr(F, op)).parameters), []
    for name, value in LEGAL[op].items():
        if not isinstance(value, np.ndarray) or value.dtype != np.float32:
            continue
        try:
            getattr(F, op)(**legal(op, **{name: value.astype(np.float64)}))
        except TypeError as error:
            messages.append(str(error))
    for message in messages:
        named = set(re.findall(r"\b(\w+)(?: is float| is updated|\.astype)", message)) - {"model"}
        assert named, message
        assert named <= arguments, message


@pytest.mark.parametrize("op", OPS)
def test_any_two_values(op, backend):
    rng = np.random.default_rng(1)
    names, wrong = list(LEGAL[op]), []
    for _ in range(150):
        a, b = (ARRAYS[i] for i in rng.integers(0, len(ARRAYS), 2))
        changes = {names[rng.integers(len(names))]: a, names[rng.integers(len(names))]: b}
        if (found := problem(op, legal(op, **changes))) is not None:
            wrong.append(f"{list(changes)}: {found}")
    assert not wrong, "\n".join(wrong[:20])


f = np.ones((2, 4, 8, 8), np.float32)
d = f.astype(np.float64)
flat = np.ones(6, np.float32)


def ones(*shape):
    return np.ones(shape, np.float32)


# op, what is changed, the error, and what its message must hold.
REFUSED = [
    ("conv2d", {"x": f[0]}, ValueError, "(4, 8, 8)"),
    ("conv2d", {"x": f.astype(np.int64)}, TypeError, "float32 or float64"),
    ("conv2d", {"x": f.astype(np.float16)}, TypeError, "float16"),
    ("conv2d", {"x": None}, TypeError, "None"),
    ("conv2d", {"x": LEGAL["conv2d"]["x"].astype(np.float64)}, TypeError, "x is float64 but weight is float32, and both"),
    ("conv2d", {"x": ones(2, 3, 4, 4)}, ValueError, "(2, 3, 4, 4)"),
    ("conv2d", {"x": ones(2, 2, 0, 4)}, ValueError, "(2, 2, 0, 4)"),
    ("conv2d", {"x": ones(2, 2, 2, 8)}, ValueError, "larger than x of shape (2, 2, 2, 8)"),
    ("conv2d", {"x": ones(2, 2, 4, 4), "dilation": 2}, ValueError, "larger than x of shape (2, 2, 4, 4)"),
    ("conv2d", {"weight": ones(2, 2, 3)}, ValueError, "(2, 2, 3)"),
    ("conv2d", {"weight": ones(2, 0, 3, 3)}, ValueError, "(2, 0, 3, 3)"),
    ("conv2d", {"bias": ones(3)}, ValueError, "must have shape (2,), got (3,)"),
    ("conv2d", {"groups": 0}, ValueError, "groups=0"),
    ("conv2d", {"groups": -1}, ValueError, "groups=-1"),
    ("conv2d", {"groups": 3}, ValueError, "(2, 2, 3, 3)"),
    ("conv2d", {"groups": 2}, ValueError, "(2, 2, 3, 3)"),
    ("conv2d", {"groups": 1.0}, TypeError, "groups"),
    ("conv2d", {"groups": True}, TypeError, "groups"),
    ("conv2d", {"stride": 0}, ValueError, "stride"),
    ("conv2d", {"stride": (1, -2)}, ValueError, "(1, -2)"),
    ("conv2d", {"stride": (1, 1, 1)}, ValueError, "tuple of 2 ints"),
    ("conv2d", {"stride": 1.0}, TypeError, "stride"),
    ("conv2d", {"stride": True}, TypeError, "True"),
    ("conv2d", {"stride": float("nan")}, TypeError, "nan"),
    ("conv2d", {"dilation": 0}, ValueError, "dilation"),
    ("conv2d", {"dilation": 10**15}, ValueError, "larger than x"),
    ("conv2d", {"padding": -1}, ValueError, "-1"),
    ("conv2d", {"padding": "reflect"}, ValueError, "'reflect'"),
    ("conv2d", {"padding": (1, 2, 3)}, ValueError, "2 entries"),
    ("conv2d", {"padding": ((1, 2, 3), 1)}, TypeError, "pair"),
    ("conv2d", {"padding": 2**40}, ValueError, "(2, 2, 4, 4)"),
    ("conv2d", {"padding": 2**30}, ValueError, "2**31 - 1"),
    ("conv2d", {"padding": 2**28}, ValueError, "too large"),
    ("conv2d", {"padding": 10**15}, ValueError, "(2, 2, 4, 4)"),
    ("conv2d_backward", {"dy": ones(2, 2, 3, 3)}, ValueError, "must have shape (2, 2, 2, 2), got (2, 2, 3, 3)"),
    ("conv2d_backward", {"dy": np.ones((2, 2, 2, 2))}, TypeError, "float64"),
    ("conv2d_backward", {"needs": (True, True)}, ValueError, "needs must be three bools, for dx, dweight and dbias, got 2: (True, True)"),
    ("conv2d_backward", {"needs": (True,) * 4}, ValueError, "got 4"),
    ("conv2d_backward", {"needs": ()}, ValueError, "got 0"),
    ("conv2d_backward", {"needs": True}, TypeError, "got True"),
    ("conv2d_backward", {"needs": None}, TypeError, "got None"),
    ("conv2d_backward", {"needs": (1, 0, 0)}, TypeError, "got (1, 0, 0)"),
    ("conv2d_backward", {"needs": "all"}, TypeError, "got 'all'"),
    ("conv_transpose1d_backward", {"needs": (True, True, None)}, TypeError, "got (True, True, None)"),
    ("linear_backward", {"needs": (0.0, True, True)}, TypeError, "got (0.0, True, True)"),
    ("linear_backward", {"needs": [False]}, ValueError, "got 1"),
    ("conv1d", {"x": f}, ValueError, "(2, 4, 8, 8)"),
    ("conv1d", {"padding": (1, 2)}, ValueError, "1 entries"),
    ("conv_transpose2d", {"x": f[0]}, ValueError, "(4, 8, 8)"),
    ("conv_transpose2d", {"x": ones(2, 3, 4, 4)}, ValueError, "takes 2 channels, but x of shape (2, 3, 4, 4) has 3"),
    ("conv_transpose2d", {"x": ones(2, 2, 0, 4)}, ValueError, "(2, 2, 0, 4)"),
    ("conv_transpose2d", {"weight": ones(2, 0, 3, 3)}, ValueError, "(2, 0, 3, 3)"),
    ("conv_transpose2d", {"bias": ones(2)}, ValueError, "must have shape (3,), got (2,)"),
    ("conv_transpose2d", {"groups": 3}, ValueError, "groups=3"),
    ("conv_transpose2d", {"output_padding": 2}, ValueError, "output_padding 2 must be smaller than stride 2 or dilation 1"),
    ("conv_transpose2d", {"output_padding": (0, 3)}, ValueError, "along w"),
    ("conv_transpose2d", {"output_padding": -1}, ValueError, "output_padding must be at least 0"),
    ("conv_transpose2d", {"padding": "same"}, TypeError, "'same'"),
    ("conv_transpose2d", {"padding": 5}, ValueError, "padding 5 + 5 leaves nothing of the 10 outputs along h"),
    ("conv_transpose2d", {"stride": 2**30}, ValueError, "2**31 - 1"),
    ("conv_transpose2d", {"stride": 2**28}, ValueError, "too large"),
    ("conv_transpose2d", {"dilation": 10**15}, ValueError, "2**31 - 1"),
    ("conv_transpose2d_backward", {"dy": ones(2, 3, 9, 10)}, ValueError, "must have shape (2, 3, 10, 10)"),
    ("rms_norm", {"x": ones(3, 2, 4)}, ValueError, "does not end in normalized_shape (4, 4)"),
    ("rms_norm", {"weight": ones(4)}, ValueError, "must have shape (4, 4), got (4,)"),
    ("rms_norm", {"eps": -1.0}, ValueError, "eps"),
    ("rms_norm", {"eps": "small"}, TypeError, "eps"),
    ("rms_norm_backward", {"dy": ones(2, 2, 4)}, ValueError, "(2, 2, 4)"),
    ("rms_norm_backward", {"rstd": ones(2)}, ValueError, "must have shape (2, 2), got (2,)"),
    ("local_response_norm", {"x": ones(4)}, ValueError, "(4,)"),
    ("local_response_norm", {"x": ones(2, 0, 3)}, ValueError, "(2, 0, 3)"),
    ("local_response_norm", {"size": 0}, ValueError, "size must be at least 1, got 0"),
    ("local_response_norm", {"size": 2**31}, ValueError, "2**31 - 1"),
    ("local_response_norm", {"alpha": -1.0}, ValueError, "alpha"),
    ("local_response_norm", {"k": float("nan")}, ValueError, "k must be finite"),
    ("local_response_norm_backward", {"dy": ones(2, 2, 4, 5)}, ValueError, "(2, 2, 4, 5)"),
    ("max_pool2d", {"x": f[0]}, ValueError, "(4, 8, 8)"),
    ("max_pool2d", {"kernel_size": 5}, ValueError, "(2, 2, 4, 4)"),
    ("max_pool2d", {"kernel_size": 0}, ValueError, "kernel_size"),
    ("max_pool2d", {"kernel_size": None}, TypeError, "kernel_size"),
    ("max_pool2d", {"kernel_size": (2,)}, ValueError, "2 ints"),
    ("max_pool2d", {"padding": 2}, ValueError, "outside x of shape (2, 2, 4, 4)"),
    ("max_pool2d", {"padding": ((0, 2), 0)}, ValueError, "outside x of shape (2, 2, 4, 4)"),
    ("max_pool2d", {"x": ones(1, 1, 2, 2), "padding": 1, "dilation": 3}, ValueError, "outside x of shape (1, 1, 2, 2)"),
    ("max_pool2d", {"ceil_mode": 1}, TypeError, "ceil_mode"),
    ("max_pool2d", {"x": ones(2, 2, 2, 2), "kernel_size": 4, "ceil_mode": True}, ValueError, "(2, 2, 2, 2)"),
    ("max_pool2d_backward", {"dy": ones(2, 2, 3, 3)}, ValueError, "(2, 2, 3, 3)"),
    ("max_pool2d_backward", {"indices": np.zeros((2, 2, 2, 2))}, TypeError, "float64"),
    ("max_pool2d_backward", {"indices": np.zeros((2, 2, 2), int)}, ValueError, "(2, 2, 2)"),
    ("max_pool2d_backward", {"indices": np.zeros((2, 2, 2, 2), int)}, ValueError, "outside their windows"),
    ("max_pool2d_backward", {"indices": np.full((2, 2, 2, 2), -1)}, ValueError, "outside their windows"),
    ("max_pool2d_backward", {"indices": np.full((2, 2, 2, 2), 2**62)}, ValueError, "outside their windows"),
    ("max_pool2d_backward", {"x": (2, 2, 4, 4)}, TypeError, "float32 or float64"),
    ("avg_pool2d", {"padding": 2}, ValueError, "outside x of shape (2, 2, 4, 4)"),
    ("avg_pool2d", {"count_include_pad": None}, TypeError, "count_include_pad"),
    ("avg_pool2d", {"divisor_override": 0}, ValueError, "divisor_override must be at least 1, got 0"),
    ("avg_pool1d_backward", {"divisor_override": 1.0}, TypeError, "divisor_override must be an int"),
    ("avg_pool3d", {"divisor_override": 2**63}, ValueError, "divisor_override must fit in 64 bits"),
    ("avg_pool2d_backward", {"x_shape": (2, 2, 9, 9)}, ValueError, "must have shape (2, 2, 4, 4), got (2, 2, 2, 2)"),
    ("avg_pool2d_backward", {"x_shape": (2, -2, 4, 4)}, TypeError, "(2, -2, 4, 4)"),
    ("lp_pool2d", {"norm_type": 0}, ValueError, "norm_type"),
    ("lp_pool2d", {"norm_type": -1.0}, ValueError, "norm_type"),
    ("lp_pool2d", {"norm_type": float("inf")}, ValueError, "norm_type"),
    ("lp_pool2d", {"norm_type": "2"}, TypeError, "norm_type"),
    ("adaptive_avg_pool2d", {"output_size": 0}, ValueError, "output_size"),
    ("adaptive_avg_pool2d", {"output_size": (1, 2, 3)}, ValueError, "(1, 2, 3)"),
    ("adaptive_avg_pool2d", {"output_size": 2**40}, ValueError, "too large"),
    ("adaptive_max_pool2d_backward", {"indices": np.full((2, 2, 2, 2), 15)}, ValueError, "outside their windows"),
    ("batch_norm", {"x": ones(1, 2, 1, 1)}, ValueError, "(1, 2, 1, 1)"),
    ("batch_norm", {"x": ones(0, 2, 4, 4)}, ValueError, "(0, 2, 4, 4)"),
    ("batch_norm", {"x": ones(2)}, ValueError, "(2,)"),
    ("batch_norm", {"running_mean": None}, ValueError, "both"),
    ("batch_norm", {"running_mean": None, "running_var": None, "training": False}, ValueError, "running_mean"),
    ("batch_norm", {"running_mean": ones(3)}, ValueError, "must have shape (2,), got (3,)"),
    ("batch_norm", {"running_mean": np.ones(2)}, TypeError, "float64"),
    ("batch_norm", {"running_mean": [1.0, 1.0]}, TypeError, "ndarray"),
    ("batch_norm", {"running_mean": ones(4)[::2]}, ValueError, "not C-contiguous"),
    ("batch_norm", {"running_mean": ones(2).astype(">f4")}, TypeError, "native"),
    ("batch_norm", {"momentum": 1.5}, ValueError, "[0, 1]"),
    ("batch_norm", {"momentum": float("nan")}, ValueError, "nan"),
    ("batch_norm", {"eps": -1e-5}, ValueError, "eps"),
    ("batch_norm", {"weight": ones(3)}, ValueError, "(3,)"),
    ("batch_norm", {"training": "yes"}, TypeError, "'yes'"),
    ("batch_norm", {"unbiased": None}, TypeError, "unbiased must be True or False, got None"),
    ("batch_norm", {"unbiased": 0, "training": False}, TypeError, "unbiased must be True or False, got 0"),
    ("batch_norm_relu", {"unbiased": 1.0}, TypeError, "unbiased"),
    ("instance_norm", {"unbiased": "no"}, TypeError, "unbiased"),
    ("instance_norm", {"unbiased": 1, "use_input_stats": False}, TypeError, "unbiased"),
    ("instance_norm", {"unbiased": 1, "running_mean": None, "running_var": None}, TypeError, "unbiased"),
    ("batch_norm_backward", {"mean": ones(2)}, ValueError, "both"),
    ("batch_norm_backward", {"running_var": ones(3)}, ValueError, "running_var must have shape (2,), got (3,)"),
    ("batch_norm_backward", {"x": ones(1, 2, 1, 1)}, ValueError, "(1, 2, 1, 1)"),
    ("batch_norm_relu_backward", {"y": ones(2, 2, 4)}, ValueError, "y must have shape (2, 2, 4, 4), got (2, 2, 4)"),
    ("batch_norm_relu_backward", {"running_mean": None}, ValueError, "evaluation needs running_mean"),
    ("batch_norm_relu_backward", {"mean": ones(2), "rstd": ones(2)}, ValueError, "evaluation has no mean and rstd"),
    ("instance_norm_backward", {"running_mean": ones(3)}, ValueError, "running_mean must have shape (2,), got (3,)"),
    ("instance_norm_backward", {"use_input_stats": False, "rstd": ones(2)}, ValueError, "evaluation has no mean"),
    ("instance_norm_backward", {"use_input_stats": 1}, TypeError, "use_input_stats must be True or False"),
    ("layer_norm", {"normalized_shape": (3, 4)}, ValueError, "(2, 2, 4, 4)"),
    ("layer_norm", {"normalized_shape": ()}, ValueError, "(2, 2, 4, 4)"),
    ("layer_norm", {"normalized_shape": 4.0}, TypeError, "normalized_shape"),
    ("layer_norm", {"normalized_shape": 4}, ValueError, "must have shape (4,), got (4, 4)"),
    ("layer_norm", {"eps": float("nan")}, ValueError, "eps"),
    ("group_norm", {"num_groups": 0}, ValueError, "(2, 2, 4, 4)"),
    ("group_norm", {"num_groups": 3}, ValueError, "(2, 2, 4, 4)"),
    ("group_norm", {"num_groups": None}, TypeError, "num_groups"),
    ("instance_norm", {"x": ones(2, 2, 1, 1)}, ValueError, "(2, 2, 1, 1)"),
    ("instance_norm", {"x": ones(2, 2)}, ValueError, "(2, 2)"),
    ("softmax", {"axis": 4}, ValueError, "(2, 2, 4, 4)"),
    ("softmax", {"axis": -5}, ValueError, "(2, 2, 4, 4)"),
    ("softmax", {"axis": 1.0}, TypeError, "axis"),
    ("softmax", {"x": ones()}, ValueError, "()"),
    ("softmax_backward", {"dy": ones(2, 2, 4, 5)}, ValueError, "(2, 2, 4, 5)"),
    ("relu", {"x": "abc"}, TypeError, "'abc'"),
    ("relu", {"x": [[1.0], [1.0, 2.0]]}, TypeError, "list"),
    ("relu", {"x": np.broadcast_to(np.float32(1), (2**40, 2))}, ValueError, "too large"),
    ("relu_backward", {"dy": ones(2, 2, 4, 1)}, ValueError, "must have shape (2, 2, 4, 4), got (2, 2, 4, 1)"),
    ("leaky_relu", {"negative_slope": float("inf")}, ValueError, "negative_slope"),
    ("leaky_relu", {"negative_slope": True}, TypeError, "negative_slope"),
    ("elu", {"alpha": 10**400}, ValueError, "alpha"),
    ("linear", {"x": ones(3, 5)}, ValueError, "x of shape (3, 5) does not fit weight of shape (2, 4)"),
    ("linear", {"x": ones()}, ValueError, "()"),
    ("linear", {"weight": ones(4)}, ValueError, "(4,)"),
    ("linear", {"bias": ones(4)}, ValueError, "(4,)"),
    ("matmul", {"a": ones(3, 5)}, ValueError, "a (3, 5) and b (4, 2)"),
    ("matmul", {"a": ones()}, ValueError, "()"),
    ("matmul", {"a": ones(2, 3, 4), "b": ones(3, 4, 2)}, ValueError, "broadcast"),
    ("matmul", {"a": np.empty((2**40, 0)), "b": np.empty((0, 2**40))}, ValueError, "too large"),
    ("matmul", {"b": np.ones((4, 2))}, TypeError, "float64"),
    ("matmul_backward", {"dy": ones(2, 3)}, ValueError, "dy must have shape (3, 2), got (2, 3)"),
    ("matmul_backward", {"a": ones(4), "dy": ones(1, 2)}, ValueError, "dy must have shape (2,), got (1, 2)"),
    ("matmul_backward", {"dy": np.ones((3, 2))}, TypeError, "float64"),
    ("cross_entropy", {"logits": ones(3)}, ValueError, "(3,)"),
    ("cross_entropy", {"logits": ones(3, 0)}, ValueError, "(3, 0)"),
    ("cross_entropy", {"target": np.array([0, 1, 4])}, ValueError, "holds 4, expected 0 to 3"),
    ("cross_entropy", {"target": np.array([0, 1, -1])}, ValueError, "holds -1"),
    ("cross_entropy", {"target": np.array([0, 1, 2**64 - 1], np.uint64)}, ValueError, "18446744073709551615"),
    ("cross_entropy", {"target": np.array([0, 1])}, ValueError, "must have shape (3,), got (2,)"),
    ("cross_entropy", {"target": np.array([0.0, 1.0, 2.0])}, TypeError, "float64"),
    ("cross_entropy", {"target": np.array([True, False, True])}, TypeError, "bool"),
    ("cross_entropy", {"weight": ones(3)}, ValueError, "(3,)"),
    ("cross_entropy", {"reduction": "average"}, ValueError, "'average'"),
    ("cross_entropy", {"label_smoothing": 1.5}, ValueError, "label_smoothing"),
    ("cross_entropy", {"ignore_index": 2**63}, ValueError, "ignore_index"),
    ("cross_entropy_backward", {"dloss": ones(3)}, ValueError, "must have shape (), got (3,)"),
    *(
        (op, {"dloss": ones(2)}, ValueError, f"dloss must have shape {shape}, got (2,)")
        for op, shape in (
            ("l1_loss_backward", (2, 2, 4, 4)), ("huber_loss_backward", ()), ("hinge_loss_backward", (3,)),
            ("kl_div_backward", ()), ("nll_loss_backward", ()), ("multi_margin_loss_backward", ()),
        )
    ),
    ("kl_div_backward", {"log_target": False, "target": f.ravel()[:3] - 9}, ValueError, "probabilities in [0, 1]"),
    ("hinge_loss_backward", {"target": np.zeros(3, np.float32)}, ValueError, "1 and -1"),
    ("nll_loss_backward", {"target": np.array([0, 1, 4])}, ValueError, "holds 4"),
    ("multi_margin_loss_backward", {"p": 3}, ValueError, "p must be 1 or 2"),
    ("dropout_backward", {"p": 1.5}, ValueError, "[0, 1]"),
    ("dropout_backward", {"rng": None}, TypeError, "since None would give other random numbers"),
    ("dropout2d_backward", {"rng": np.random.default_rng(0)}, TypeError, "SeedSequence that dropout2d got, since a Generator"),
    ("dropout3d_backward", {"dy": ones(2, 2, 4, 4)}, ValueError, "dy must have 5 axes"),
    ("rrelu_backward", {"rng": np.random.PCG64()}, TypeError, "draw one, seed = int(generator.integers(2**63))"),
    ("dropout", {"p": 1.5}, ValueError, "[0, 1]"),
    ("dropout", {"p": float("nan")}, ValueError, "nan"),
    ("dropout", {"p": None}, TypeError, "None"),
    ("dropout", {"rng": -1}, ValueError, "rng"),
    ("dropout", {"rng": "seed"}, TypeError, "'seed'"),
    ("sgd_step", {"param": ones(3, 2).T}, ValueError, "not C-contiguous (shape (2, 3))"),
    ("sgd_step", {"param": [1.0]}, TypeError, "ndarray"),
    ("sgd_step", {"grad": ones(2, 3)}, ValueError, "must have shape (3, 2), got (2, 3)"),
    ("sgd_step", {"grad": np.ones((3, 2))}, TypeError, "float64"),
    ("sgd_step", {"momentum_buffer": None}, ValueError, "momentum_buffer"),
    ("sgd_step", {"momentum": 0.0}, ValueError, "nesterov"),
    ("sgd_step", {"lr": -0.1}, ValueError, "lr"),
    ("sgd_step", {"lr": float("nan")}, ValueError, "nan"),
    ("adam_step", {"exp_avg": ones(6)}, ValueError, "must have shape (3, 2), got (6,)"),
    ("adam_step", {"step": 0}, ValueError, "step"),
    ("adam_step", {"step": 1.0}, TypeError, "step"),
    ("adam_step", {"step": 2**63}, ValueError, "step must fit in 64 bits"),
    ("maxout", {"k": 2**63}, ValueError, "k must fit in 64 bits"),
    ("maxout_backward", {"k": 2**64}, ValueError, "k must fit in 64 bits"),
    ("local_response_norm", {"size": 2**63}, ValueError, "size must fit in 64 bits"),
    ("group_norm", {"num_groups": 2**63}, ValueError, "num_groups must fit in 64 bits"),
    ("embedding", {"padding_idx": -(2**63) - 1}, ValueError, "padding_idx must fit in 64 bits"),
    ("nll_loss", {"ignore_index": -(2**63) - 1}, ValueError, "ignore_index must fit in 64 bits"),
    ("max_pool2d", {"stride": 2**63}, ValueError, "stride must fit in 64 bits"),
    ("avg_pool2d", {"stride": (2**63, 1)}, ValueError, "fit in 64 bits"),
    ("conv2d", {"dilation": 2**63}, ValueError, "dilation must fit in 64 bits"),
    ("lp_pool2d", {"padding": 2**63}, ValueError, "padding must fit in 64 bits"),
    ("conv1d", {"padding": ((2**63, 0),)}, ValueError, "padding must fit in 64 bits"),
    ("adaptive_avg_pool2d", {"output_size": 2**63}, ValueError, "output_size must fit in 64 bits"),
    ("adam_step", {"betas": (0.9, 1.0)}, ValueError, "[0, 1)"),
    ("adam_step", {"betas": 0.9}, ValueError, "betas"),
    ("adam_step", {"eps": "small"}, TypeError, "eps"),
    ("rmsprop_step", {"alpha": 1.0}, ValueError, "alpha"),
    ("rmsprop_step", {"eps_inside": 0}, TypeError, "eps_inside"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "changes", "error", "message"), REFUSED)
def test_refused(op, changes, error, message, backend):
    with pytest.raises(error, match=f"^{op}: .*{re.escape(message)}"):
        getattr(F, op)(**legal(op, **changes))


@pytest.mark.parametrize("op", sorted(IN_PLACE))
def test_targets_must_be_writeable(op, backend):
    for name in IN_PLACE[op]:
        arguments = legal(op)
        arguments[name].flags.writeable = False
        assert problem(op, arguments) is None
        with pytest.raises(ValueError, match=f"^{op}: {name} .* not writeable"):
            getattr(F, op)(**arguments)


@pytest.mark.parametrize("op", sorted(IN_PLACE))
def test_targets_must_not_overlap(op, backend):
    for name in IN_PLACE[op]:
        for other, value in LEGAL[op].items():
            if other == name or not isinstance(value, np.ndarray):
                continue
            arguments = legal(op)
            memory = np.ones(arguments[name].size + value.size - 1, np.float32)
            arguments[name] = memory[: arguments[name].size].reshape(arguments[name].shape)
            arguments[other] = memory[memory.size - value.size :].reshape(value.shape)
            assert problem(op, arguments) is None
            with pytest.raises(ValueError, match=f"^{op}: .* overlaps .* in memory"):
                getattr(F, op)(**arguments)


def test_targets_next_to_each_other_do_not_overlap(backend):
    memory = np.ones(8, np.float32)
    F.adam_step(*memory.reshape(4, 2), step=1, lr=0.1)
    assert (memory[2:4] == 1).all()


def test_a_memmap_is_updated(tmp_path, backend):
    param = np.memmap(tmp_path / "weights", np.float32, "w+", shape=(3,))
    F.sgd_step(param, np.ones(3, np.float32), lr=0.5)
    assert (np.fromfile(tmp_path / "weights", np.float32) == -0.5).all()


def test_cached_geometry_does_not_mix_up_types(backend):
    x, weight = ones(1, 1, 4, 4), ones(1, 1, 2, 2)
    F.conv2d(x, weight, stride=1, padding=(0, 1), groups=1)
    for wrong in (
        {"stride": True},
        {"stride": 1.0},
        {"padding": (0.0, 1)},
        {"padding": (False, True)},
        {"groups": True},
    ):
        with pytest.raises(TypeError, match=r"^conv2d: "):
            F.conv2d(x, weight, **wrong)


@pytest.mark.parametrize("like", [int, np.int64, np.uint8])
def test_integers_of_any_type(like, backend):
    x, weight = ones(1, 1, 5, 5), ones(1, 1, 2, 2)
    expected = F.conv2d(x, weight, None, 2, 1, 1, 1)
    for stride, pad in ((like(2), like(1)), ([like(2), 2], (like(1), 1)), ((2, like(2)), [[1, like(1)], like(1)])):
        assert (F.conv2d(x, weight, None, stride, pad, like(1), like(1)) == expected).all()


def test_lists_are_arrays(backend):
    assert F.relu([[-1.0, 2.0]]).tolist() == [[0.0, 2.0]]
    with pytest.raises(TypeError, match=r"^relu: x must be float32 or float64, got dtype int64"):
        F.relu([1, 2])


def test_empty_batches_give_empty_results(backend):
    empty = ones(0, 4, 8, 8)
    assert F.conv2d(empty, ones(6, 2, 3, 3), groups=2).shape == (0, 6, 6, 6)
    assert [g.shape for g in F.conv2d_backward(ones(0, 6, 6, 6), empty, ones(6, 2, 3, 3), groups=2)] == [
        (0, 4, 8, 8), (6, 2, 3, 3), (6,),
    ]  # fmt: skip
    assert F.max_pool2d(empty, 2).shape == F.avg_pool2d(empty, 2).shape == (0, 4, 4, 4)
    assert F.batch_norm(empty, ones(4), ones(4)).shape == F.group_norm(empty, 2).shape == empty.shape
    assert F.linear(ones(0, 3), ones(2, 3)).shape == (0, 2)
    assert F.cross_entropy(ones(0, 3), np.zeros(0, int), reduction="sum") == 0
    assert np.isnan(F.cross_entropy(ones(0, 3), np.zeros(0, int)))


# ---- shape arithmetic against its definition ------------------------------------------------------------------------

small = st.integers(1, 9)
pads = st.integers(0, 5)


def windows(size, kernel, stride, dilation, low, high, ceil_mode=False):
    """Starts of the windows, counted one by one, in coordinates of the image."""
    reach = dilation * (kernel - 1) + 1
    overhang = stride - 1 if ceil_mode else 0
    starts = range(-low, size + high + overhang - reach + 1, stride)
    return [s for s in starts if not ceil_mode or s < size]


@given(small, small, small, small, pads, pads)
def test_conv_output_size(size, kernel, stride, dilation, low, high):
    expected = windows(size, kernel, stride, dilation, low, high)
    arguments = ("conv1d", 1, (2, 3, size), (5, 3, kernel), stride, ((low, high),), dilation, 1)
    if not expected:
        with pytest.raises(ValueError, match="larger than x"):
            conv_geometry(*arguments)
        return
    g = conv_geometry(*arguments)
    assert g.out == (1, 1, len(expected))
    starts = [o * g.stride[2] - g.pad[2] for o in range(g.out[2])]
    assert starts == expected
    assert g.dilation[2] * (kernel - 1) == dilation * (kernel - 1)


@given(st.integers(1, 200), small, small, small)
def test_same_and_full_padding(size, kernel, stride, dilation):
    x, weight = (1, 1, size), (1, 1, kernel)
    g = conv_geometry("conv1d", 1, x, weight, stride, "same", dilation, 1)
    assert g.out[2] == -(-size // stride)
    total = max((g.out[2] - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    assert g.pad[2] == total // 2
    assert conv_geometry("conv1d", 1, x, weight, 1, "full", dilation, 1).out[2] == size + dilation * (kernel - 1)


@given(small, small, small, small, pads, pads, st.booleans())
def test_pool_output_size(size, kernel, stride, dilation, low, high, ceil_mode):
    expected = windows(size, kernel, stride, dilation, low, high, ceil_mode)
    touching = all(any(0 <= s + k * dilation < size for k in range(kernel)) for s in expected)
    arguments = ("max_pool1d", 1, (2, 3, size), kernel, stride, ((low, high),), dilation, ceil_mode)
    if not expected or not touching:
        with pytest.raises(ValueError, match=r"larger than x|outside x"):
            pool_geometry(*arguments)
        return
    g = pool_geometry(*arguments)
    assert [o * g.stride[2] - g.pad[2] for o in range(g.out[2])] == expected
    assert g.pad_end[2] == high


@example(0, 2**62, 2**62 - 4, 3)  # ceil_mode lets a window overhang by almost a stride
@given(st.integers(0, 2**70), st.integers(1, 2**70), st.integers(1, 2**70), st.integers(1, 2**70))
def test_numbers_of_a_geometry_are_bounded(padding, stride, dilation, kernel):
    limit = 2**31
    for make in (
        lambda: conv_geometry("conv2d", 2, (1, 1, 9, 9), (1, 1, 3, 1), stride, padding, dilation, 1),
        lambda: pool_geometry("max_pool2d", 2, (1, 1, 9, 9), kernel, stride, padding, dilation, True),
    ):
        try:
            g = make()
        except ValueError:
            continue
        for triple in (g.out, g.kernel, g.stride, g.pad, g.dilation):
            assert all(0 <= v < limit for v in triple)
        for size, out, k, s, p, d in zip(g.size, g.out, g.kernel, g.stride, g.pad, g.dilation, strict=True):
            assert (out - 1) * s + (k - 1) * d < 2 * limit
            assert -p < size


def test_geometry_of_fewer_axes_has_ones_in_front():
    g = checks.conv("conv1d", 1, ones(2, 4, 9), ones(6, 2, 3), None, 2, ((1, 2),), 3, 2)[0]
    assert g == checks.Conv(2, 4, 6, 2, (1, 1, 9), (1, 1, 3), (1, 1, 3), (1, 1, 2), (0, 0, 1), (1, 1, 3))


@pytest.mark.parametrize("k", [1, 7, 2**40, 2**62, 2**63 - 1])
def test_maxout_of_an_empty_axis(k, backend):
    x = np.ones((5, 0, 3), np.float32)
    y = F.maxout(x, k, axis=1)
    assert y.shape == (5, 0, 3)
    assert F.maxout_backward(y, x, k, axis=1).shape == (5, 0, 3)


def test_maxout_needs_an_axis(backend):
    for call in (lambda: F.maxout(1.5, 1, axis=0), lambda: F.maxout_backward(np.ones((8, 1)), 1.5, 1, axis=-1)):
        with pytest.raises(ValueError, match="x must have an axis"):
            call()


@pytest.mark.parametrize("stride", [2**31, 2**62, 2**63 - 1])
def test_strides_longer_than_any_image(stride, backend):
    x = np.ones((1, 1, 9, 9), np.float32)
    assert F.max_pool2d(x, 3, stride).shape == (1, 1, 1, 1)
    assert F.conv2d(x, np.ones((1, 1, 3, 3), np.float32), None, stride).item() == 9
    dx = F.avg_pool2d_backward(np.full((1, 1, 1, 1), 9, np.float32), x.shape, 3, stride)
    assert np.array_equal(dx[0, 0, :3, :3], np.ones((3, 3)))
    assert dx.sum() == 9


def test_stacks_of_small_matrices(monkeypatch, backend):
    """The extents of stacks are not multiplied where they are equal."""
    monkeypatch.setattr("fastnn.checks.arrays.MAX_ELEMENTS", 10**5)
    a = np.ones((400, 4, 4), np.float32)
    for b in (a, a[:1], a[:1, None]):
        assert F.matmul(a, b).shape == (*(1,) * (b.ndim - 3), 400, 4, 4)
    with pytest.raises(ValueError, match="too large"):
        F.matmul(a[:, None], a)


def test_arrays_of_many_axes(backend):
    shape = (*(1,) * 40, 2, 3)
    x = np.arange(6, dtype=np.float32).reshape(shape)
    assert F.linear(x, np.ones((2, 3), np.float32)).shape == (*shape[:-1], 2)
    assert F.maxout(x, 3, axis=-1).shape == (*shape[:-1], 1)
    assert F.maxout_backward(F.maxout(x, 3, axis=-1), x, 3, axis=-1).shape == shape
    index = np.zeros(shape, np.int64)
    assert F.embedding(index, np.ones((2, 4), np.float32)).shape == (*shape, 4)
    with pytest.raises(ValueError, match=r"^embedding: .*axes"):
        F.embedding(np.zeros((1,) * 64, np.int64), np.ones((2, 4), np.float32))


def _interval_calls():
    x, two = np.ones((2, 4, 6, 6)), np.ones((2, 4))
    p, m = np.ones(3), {"exp_avg": np.zeros(3), "exp_avg_sq": np.zeros(3)}

    def adam(**o):
        return F.adam_step(p.copy(), p, *(a.copy() for a in m.values()), **({"step": 1, "lr": 0.1} | o))

    return {
        "huber_loss delta": lambda v: F.huber_loss(two, two, delta=v),
        "lp_pool2d norm_type": lambda v: F.lp_pool2d(x, v, 2),
        "softplus beta": lambda v: F.softplus(two, beta=v),
        "dropout p": lambda v: F.dropout(two, v, rng=0),
        "dropout2d p": lambda v: F.dropout2d(x, v, rng=0),
        "layer_norm eps": lambda v: F.layer_norm(two, (4,), eps=v),
        "cross_entropy label_smoothing": lambda v: F.cross_entropy(two, np.zeros(2, int), label_smoothing=v),
        "adam_step lr": lambda v: adam(lr=v),
        "adam_step eps": lambda v: adam(eps=v),
        "adam_step l1": lambda v: adam(l1=v),
        "adam_step weight_decay": lambda v: adam(weight_decay=v),
        "adam_step betas": lambda v: adam(betas=(v, 0.5)),
        "sgd_step momentum": lambda v: F.sgd_step(p.copy(), p, p.copy(), lr=0.1, momentum=v),
        "rmsprop_step alpha": lambda v: F.rmsprop_step(p.copy(), p, p.copy(), lr=0.1, alpha=v),
        "adadelta_step rho": lambda v: F.adadelta_step(p.copy(), p, p.copy(), p.copy(), rho=v),
    }


@pytest.mark.parametrize("name", _interval_calls())
def test_messages_name_the_interval_that_is_checked(name):
    """Every number in the named interval is taken, each end as its bracket says, and nothing beyond it."""
    call = _interval_calls()[name]
    with pytest.raises(ValueError, match="must be in") as error:
        call(-1.0)
    text = re.search(r"must be in ([\[(])(\S+), (\S+)([\])]), got", str(error.value))
    left, low, high, right = text[1], float(text[2]), float(text[3]), text[4]
    assert (left, right) == ("(" if low == -np.inf else left, ")" if high == np.inf else right)
    inside = [low] * (left == "[") + [high] * (right == "]") + [np.nextafter(low, 1.0) if np.isfinite(low) else -1e300]
    if np.isfinite(high):
        inside.append(np.nextafter(high, 0.0))
    if name.startswith(("softplus", "lp_pool2d")):
        inside[-1 if not np.isfinite(high) else -2] = 1e-3  # these compute 1 / beta, and x^p
    outside = [low] * (left == "(") + [high] * (right == ")") + [np.nextafter(low, -np.inf), np.nextafter(high, np.inf)]
    with np.errstate(all="ignore"):
        for v in inside:
            call(float(v))
        for v in outside:
            with pytest.raises(ValueError, match=name.split()[1]):
                call(float(v))


def test_masked_arrays_are_refused_wherever_an_array_is_taken(tmp_path):
    """A plain array has no place for the mask: the error says how to make one."""
    m, plain = np.ma.masked_array([1.0, 2.0, 1e9], [0, 0, 1]), np.ones(3)
    index = np.ma.masked_array([0, 1], [0, 1])
    calls = [
        lambda: F.relu(m),
        lambda: F.relu_backward(plain, m),
        lambda: F.mse_loss(m, plain),
        lambda: F.mse_loss(plain, m),
        lambda: F.softmax(m),
        lambda: F.add(plain, m),
        lambda: F.embedding(index, np.ones((2, 1))),
        lambda: F.cross_entropy(np.ones((2, 3)), index),
        lambda: F.relu([m, m]),
        lambda: F.sgd_step(m, plain, lr=0.1),
        lambda: F.sgd_step(plain, m, lr=0.1),
        lambda: fnn.tensor(m),
        lambda: fnn.Tensor(m),
        lambda: fnn.tensor(plain) + m,
        lambda: fnn.data.Batches(m, batch_size=1),
        lambda: fnn.data.split(index, fractions=[0.5]),
        lambda: fnn.data.split([0, 1], fractions=[0.5], stratify=index),
        lambda: fnn.data.split([0, 1], fractions=[0.5], groups=index),
        lambda: fnn.data.windows(m, 1),
        lambda: fnn.data.resample(m, rng=0),
        lambda: fnn.data.fit_distribution(m),
        lambda: fnn.data.random_flip(m.reshape(3, 1), np.random.default_rng(0)),
        lambda: fnn.save_checkpoint(tmp_path / "file", {"m": m}),
        lambda: nn.CrossEntropyLoss(m),
        lambda: nn.Linear(3, 1, bias=False, rng=0).load_state_dict({"weight": m.reshape(1, 3)}),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"mask.*\.filled\("):
            call()
    other = np.array([1.0, -1.0]).view(type("Other", (np.ndarray,), {}))
    np.testing.assert_array_equal(F.relu(other), [1.0, 0.0])
