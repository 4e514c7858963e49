"""The one table of ops: parity, gradient checks, the comparison with PyTorch and the meta-tests all run from it.

A row gives
  name       in `fastnn.functional`; benchmarks use the same name
  args       the arrays that gradients are taken of, in the order that samples give them
  samples    the shapes and arguments that hurt (`samples`, `samples_conv`, `samples_norm`)
  bound      the tolerance, a formula of eps, reduction length and magnitude (`tolerances`)
  call       how to call it, where that is not ``F.name(*arrays, **options)``
  backward   the public backward, ``(dy, y, arrays, options) -> gradients``, where there is one
  shape      the public function of shapes that gives that of its result, ``sample -> shape``, where there is one
  in_place   keyword arguments whose arrays it changes
  grid       more samples for the comparison with PyTorch, every combination of small arguments (`grid`)
  torch      whether PyTorch has a counterpart (`torch_ops`)
  gradcheck  whether central differences apply
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn as fnn
import fastnn.functional as F
import grid
import samples
import samples_conv
import samples_interpolate
import samples_loss
import samples_norm
import samples_pad
import samples_rnn
import tolerances
import tolerances_activation
import tolerances_interpolate
import tolerances_loss
import tolerances_optim
import tolerances_rnn
from harness import Op

Backward = Callable[[Any, Any, Any, Any], tuple[np.ndarray, ...]]


def _of_x(name: str, *drop: str) -> Backward:
    """Takes dy and the arrays of the forward."""

    def backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
        gradients = getattr(F, name)(dy, *arrays, **{k: v for k, v in options.items() if k not in drop})
        return gradients if isinstance(gradients, tuple) else (gradients,)

    return backward


def _of_x_weight(name: str, *drop: str) -> Backward:
    """Takes dy, x and the weight but not the bias, whose gradient doesn't need it."""

    def backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
        return getattr(F, name)(dy, *arrays[:2], **{k: v for k, v in options.items() if k not in drop})

    return backward


def _of_x_and_keyword_weight(name: str, *drop: str) -> Backward:
    def backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
        kept = {k: v for k, v in options.items() if k not in drop}
        return getattr(F, name)(dy, arrays[0], weight=arrays[1], **kept)

    return backward


def _of_y(name: str) -> Backward:
    """Takes dy and the output."""
    return lambda dy, y, arrays, options: (getattr(F, name)(dy, y, **options),)


def _of_shape(name: str) -> Backward:
    """Takes dy and the shape of the input."""
    return lambda dy, y, arrays, options: (getattr(F, name)(dy, arrays[0].shape, **options),)


def _shape(name: str, arrays: int, *drop: str) -> dict[str, Any]:
    """The columns of a function that takes the shapes of so many of the op's arrays."""

    def shape(sample: Any) -> Any:
        options = {k: v for k, v in sample.options.items() if k not in drop}
        return getattr(F, name)(*(a.shape for a in sample.arrays[:arrays]), **options)

    return {"shape": shape, "shape_name": name}


_pooled = _shape("pool_output_shape", 1, "return_indices", "norm_type", "count_include_pad", "divisor_override")


_MOVES = ("momentum", "unbiased")  # how running statistics change, which no gradient depends on


def _batch_norm_backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
    kept = {k: v for k, v in options.items() if k not in _MOVES}
    return F.batch_norm_backward(dy, arrays[0], weight=arrays[1], **kept)


def _batch_norm_relu_backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
    kept = {k: v for k, v in options.items() if k not in _MOVES}
    return F.batch_norm_relu_backward(dy, arrays[0], y, weight=arrays[1], **kept)


def _of_indices(name: str) -> Backward:
    """Takes dy and x; where the sample returns indices, these and the shape of x."""

    def backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
        (x,), kept = arrays, {k: v for k, v in options.items() if k != "return_indices"}
        if not options.get("return_indices"):
            return (getattr(F, name)(dy, x, **kept),)
        _, indices = getattr(F, name.removesuffix("_backward"))(x, **options)
        return (getattr(F, name)(dy, x.shape, **kept, indices=indices),)

    return backward


def _lp_pool_backward(name: str) -> Backward:
    def backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
        rest = {k: v for k, v in options.items() if k != "norm_type"}
        return (getattr(F, name)(dy, arrays[0], options["norm_type"], **rest),)

    return backward


def _of_options(name: str) -> Backward:
    """Takes dy alone."""
    return lambda dy, y, arrays, options: (getattr(F, name)(dy, **options),)


def _add_backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
    return F.add_backward(dy)


def _loss(name: str, bound: Any, rows: Any = None, argument: str = "x") -> Op:
    """Its target is an option and not differentiated."""

    def backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
        return (getattr(F, name + "_backward")(*arrays, dloss=dy, **options),)

    rows = rows or getattr(samples_loss, name)
    return Op(name, (argument,), rows, bound, backward=backward, backward_name=name + "_backward")


def _difference_loss(name: str) -> Op:
    """Of the difference of its arguments: the gradient of one is minus that of the other."""

    def backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
        dx = getattr(F, name + "_backward")(*arrays, dloss=dy, **options)
        return dx, -dx

    return Op(
        name, ("x", "target"), getattr(samples_loss, name), tolerances_loss.pair_loss, backward=backward,
        backward_name=name + "_backward",
    )  # fmt: skip


def _dropout(name: str) -> Op:
    return Op(
        name, ("x",), getattr(samples_norm, name), tolerances.scaled,
        backward=_of_options(name + "_backward"), backward_name=name + "_backward",
    )  # fmt: skip


def _batch_norm(x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, **options: Any) -> Any:
    return F.batch_norm(x, running_mean, running_var, weight, bias, **options)


def _batch_norm_relu(
    x: Any, weight: Any, bias: Any, residual: Any, running_mean: Any, running_var: Any, **options: Any
) -> Any:
    return F.batch_norm_relu(x, running_mean, running_var, weight, bias, residual, **options)


def _instance_norm(x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, **options: Any) -> Any:
    return F.instance_norm(x, weight, bias, running_mean=running_mean, running_var=running_var, **options)


def _instance_norm_backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
    kept = {k: v for k, v in options.items() if k not in _MOVES}
    return F.instance_norm_backward(dy, arrays[0], weight=arrays[1], **kept)


def _rms_norm(x: Any, weight: Any, **options: Any) -> Any:
    return F.rms_norm(x, weight=weight, **options)


def _norm(name: str) -> Callable[..., Any]:
    return lambda x, weight, bias, **options: getattr(F, name)(x, weight=weight, bias=bias, **options)


def _unary(name: str, bound: Any, rows: Any) -> Op:
    """A function of one array, whose backward takes that or the output, and the same arguments."""
    _, saved, *_ = inspect.signature(getattr(F, name + "_backward")).parameters
    backward = _of_y if saved == "y" else _of_x
    return Op(name, ("x",), rows, bound, backward=backward(name + "_backward"), backward_name=name + "_backward")


def _elementwise(name: str, bound: Any, *options: dict[str, Any]) -> Op:
    """``options`` are sets of arguments for the samples beside the defaults."""
    return _unary(name, bound, lambda: samples.with_options(samples.elementwise(), *options))


def _pool(name: str, bound: Any, backward: Backward, cases: Any = None) -> Op:
    shape = {} if name.startswith("adaptive") else _pooled
    return Op(
        name, ("x",), getattr(samples, name), bound, backward=backward, backward_name=name + "_backward", grid=cases,
        **shape,
    )  # fmt: skip


def _affine(name: str, backward: Backward, **columns: Any) -> Op:
    return Op(
        name, ("x", "weight", "bias"), getattr(samples_norm, name), getattr(tolerances, name),
        call=columns.pop("call", _norm(name)), backward=backward, backward_name=name + "_backward",
        grid=getattr(grid, name), **columns,
    )  # fmt: skip


def _step(name: str, *state: str) -> Op:
    return Op(
        name, (), getattr(samples_norm, name), getattr(tolerances_optim, name), in_place=("param", *state), gradcheck=False
    )  # fmt: skip


def _product(name: str, args: tuple[str, ...], backward: Backward, cases: Any = None) -> Op:
    conv = name.startswith("conv")
    rows = getattr(samples_conv if conv else samples, name)
    shape = _shape(name[:-2] + "_output_shape", 2) if conv else {}
    return Op(
        name, args, rows, tolerances.convolutions if conv else tolerances.products, backward=backward,
        backward_name=name + "_backward", grid=cases, **shape,
    )  # fmt: skip


def _pad_backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
    return (F.pad_backward(dy, arrays[0].shape, **{k: v for k, v in options.items() if k != "value"}),)


def _embedding_backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
    return (F.embedding_backward(dy, options["index"], len(arrays[0]), options.get("padding_idx")),)


def _recurrent(name: str, *states: str, peepholes: bool = False) -> Op:
    """Output and final states below each other, so that every one of them gets a gradient."""
    args = ("x", *(state + "0" for state in states), "weight_ih", "weight_hh", "bias_ih", "bias_hh")

    def arguments(arrays: Any, options: Any) -> tuple[Any, Any]:
        return arrays[: len(args)], {**options, "peepholes": arrays[-1]} if peepholes else options

    def call(*arrays: Any, **options: Any) -> Any:
        positional, named = arguments(arrays, options)
        output, *finals = getattr(F, name)(*positional, **named)
        return fnn.concatenate([output, *(h[None] for h in finals)])

    def backward(dy: Any, y: Any, arrays: Any, options: Any) -> Any:
        steps = len(arrays[0])
        finals = {f"d{state}_n": d for state, d in zip(states, dy[steps:], strict=True)}
        positional, named = arguments(arrays, options)
        gradients = getattr(F, name + "_backward")(dy[:steps], *positional, **named, **finals)
        return *gradients, *[None] * (len(arrays) - len(gradients))  # of peepholes only where there are some

    return Op(
        name, (*args, "peepholes") if peepholes else args,
        getattr(samples_rnn, name), getattr(tolerances_rnn, name), call=call, backward=backward,
        backward_name=name + "_backward",
    )  # fmt: skip


# Functions of one array by element; `bad_input` and `draws` take their arguments from here.
ELEMENTWISE = [
    _elementwise("relu", tolerances.exact),
    _elementwise("leaky_relu", tolerances.scaled, *({"negative_slope": v} for v in (0.25, 0.0, -0.5, 1.0, 3.0))),
    _elementwise("elu", tolerances_activation.exponential, {"alpha": 0.5}, {"alpha": 2.0}),
    _elementwise("sigmoid", tolerances_activation.sigmoid),
    _elementwise("tanh", tolerances_activation.tanh),
    _elementwise("selu", tolerances_activation.exponential),
    _elementwise(
        "softplus", tolerances_activation.softplus, {"beta": 0.5}, {"beta": 3.0, "threshold": 1.0}, {"threshold": -2.0},
        {"threshold": 100.0},
    ),
    _elementwise("gelu", tolerances_activation.gelu, {"approximate": "tanh"}),
    _elementwise("silu", tolerances_activation.silu),
    _elementwise("hardsigmoid", tolerances.scaled),
    _elementwise("hardswish", tolerances_activation.hardswish),
    _elementwise("relu6", tolerances.exact),
    _elementwise("thresholded_relu", tolerances.exact, *({"alpha": v} for v in (0.0, -0.5, 3.0))),
    _elementwise("celu", tolerances_activation.celu, *({"alpha": v} for v in (0.25, 3.0, 2.0**-100, 2.0**100))),
    _elementwise("mish", tolerances_activation.mish),
    _elementwise("logsigmoid", tolerances_activation.exponential),
    _elementwise("softsign", tolerances.scaled),
]  # fmt: skip


def arguments_of(op: Op) -> dict[str, list[Any]]:
    """The values that the samples of an elementwise function give its arguments, the defaults first."""
    parameters = inspect.signature(getattr(F, op.name)).parameters.values()
    values = {p.name: [p.default] for p in parameters if p.default is not p.empty}
    for sample in op.samples():
        for name, value in sample.options.items():
            if value not in values[name]:
                values[name].append(value)
    return values


XWB = ("x", "weight", "bias")
OPS = [
    _product("linear", XWB, _of_x_weight("linear_backward")),
    _product("matmul", ("a", "b"), _of_x("matmul_backward")),
    Op("add", ("a", "b"), samples.add, tolerances.exact, backward=_add_backward, backward_name="add_backward"),
    _product("conv1d", XWB, _of_x_weight("conv1d_backward"), grid.conv1d),
    _product("conv2d", XWB, _of_x_weight("conv2d_backward"), grid.conv2d),
    _product("conv3d", XWB, _of_x_weight("conv3d_backward"), grid.conv3d),
    _product("conv_transpose1d", XWB, _of_x_weight("conv_transpose1d_backward"), grid.conv_transpose1d),
    _product("conv_transpose2d", XWB, _of_x_weight("conv_transpose2d_backward"), grid.conv_transpose2d),
    _product("conv_transpose3d", XWB, _of_x_weight("conv_transpose3d_backward"), grid.conv_transpose3d),
    Op("pad", ("x",), samples_pad.pad, tolerances.copies, backward=_pad_backward, backward_name="pad_backward"),
    Op("embedding", ("weight",), samples_rnn.embedding, tolerances.products,
       call=lambda weight, index, **options: F.embedding(index, weight, **options),
       backward=_embedding_backward, backward_name="embedding_backward"),
    _recurrent("rnn", "h"),
    _recurrent("lstm", "h", "c", peepholes=True),
    _recurrent("gru", "h"),
    _pool("max_pool1d", tolerances.maxima, _of_indices("max_pool1d_backward"), grid.max_pool1d),
    _pool("max_pool2d", tolerances.maxima, _of_indices("max_pool2d_backward"), grid.max_pool2d),
    _pool("max_pool3d", tolerances.maxima, _of_indices("max_pool3d_backward"), grid.max_pool3d),
    _pool("avg_pool1d", tolerances.averages, _of_shape("avg_pool1d_backward"), grid.avg_pool1d),
    _pool("avg_pool2d", tolerances.averages, _of_shape("avg_pool2d_backward"), grid.avg_pool2d),
    _pool("avg_pool3d", tolerances.averages, _of_shape("avg_pool3d_backward"), grid.avg_pool3d),
    _pool("lp_pool1d", tolerances.powers, _lp_pool_backward("lp_pool1d_backward"), grid.lp_pool1d),
    _pool("lp_pool2d", tolerances.powers, _lp_pool_backward("lp_pool2d_backward"), grid.lp_pool2d),
    _pool("lp_pool3d", tolerances.powers, _lp_pool_backward("lp_pool3d_backward"), grid.lp_pool3d),
    _pool("adaptive_avg_pool1d", tolerances.averages, _of_shape("adaptive_avg_pool1d_backward")),
    _pool("adaptive_avg_pool2d", tolerances.averages, _of_shape("adaptive_avg_pool2d_backward"), grid.adaptive_pool),
    _pool("adaptive_avg_pool3d", tolerances.averages, _of_shape("adaptive_avg_pool3d_backward"), grid.adaptive_pool3d),
    _pool("adaptive_max_pool1d", tolerances.maxima, _of_indices("adaptive_max_pool1d_backward")),
    _pool("adaptive_max_pool2d", tolerances.maxima, _of_indices("adaptive_max_pool2d_backward"), grid.adaptive_pool),
    _pool("adaptive_max_pool3d", tolerances.maxima, _of_indices("adaptive_max_pool3d_backward"), grid.adaptive_pool3d),
    Op("interpolate", ("x",), samples_interpolate.interpolate, tolerances_interpolate.interpolate,
       backward=_of_shape("interpolate_backward"), backward_name="interpolate_backward", grid=samples_interpolate.grid),
    _affine("batch_norm", _batch_norm_backward, call=_batch_norm, in_place=("running_mean", "running_var")),
    Op("batch_norm_relu", ("x", "weight", "bias", "residual"), samples_norm.batch_norm_relu, tolerances.batch_norm_relu,
       call=_batch_norm_relu, in_place=("running_mean", "running_var"), backward=_batch_norm_relu_backward,
       backward_name="batch_norm_relu_backward"),
    _affine("layer_norm", _of_x_and_keyword_weight("layer_norm_backward")),
    _affine("instance_norm", _instance_norm_backward, call=_instance_norm, in_place=("running_mean", "running_var")),
    _affine("group_norm", _of_x_and_keyword_weight("group_norm_backward")),
    Op("rms_norm", ("x", "weight"), samples_norm.rms_norm, tolerances.rms_norm, call=_rms_norm,
       backward=_of_x_and_keyword_weight("rms_norm_backward"), backward_name="rms_norm_backward", grid=grid.rms_norm),
    Op("local_response_norm", ("x",), samples_norm.local_response_norm, tolerances.local_response_norm,
       backward=_of_x("local_response_norm_backward"), backward_name="local_response_norm_backward",
       grid=grid.local_response_norm),
    *ELEMENTWISE,
    Op("prelu", ("x", "weight"), samples.prelu, tolerances_activation.prelu, backward=_of_x("prelu_backward"),
       backward_name="prelu_backward"),
    Op("rrelu", ("x",), samples.rrelu, tolerances_activation.exponential, backward=_of_x("rrelu_backward"),
       backward_name="rrelu_backward"),
    _unary("maxout", tolerances.exact, samples.maxout),
    *(
        Op(name, ("x",), getattr(samples, name), tolerances.exact, backward=_of_options(f"{name}_backward"),
           backward_name=f"{name}_backward")
        for name in ("pixel_shuffle", "pixel_unshuffle")
    ),
    _unary("softmax", tolerances.softmax, samples_norm.softmax),
    _unary("log_softmax", tolerances.log_softmax, samples_norm.softmax),
    _loss("cross_entropy", tolerances.cross_entropy, samples_norm.cross_entropy, "logits"),
    *(_difference_loss(name) for name in ("mse_loss", "l1_loss", "huber_loss")),
    *(_loss(name, tolerances_loss.pair_loss) for name in ("binary_cross_entropy_with_logits", "hinge_loss", "kl_div")),
    _loss("nll_loss", tolerances_loss.nll_loss),
    _loss("multi_margin_loss", tolerances_loss.multi_margin_loss),
    *(_dropout(name) for name in ("dropout", "dropout1d", "dropout2d", "dropout3d")),
    _step("sgd_step", "momentum_buffer"),
    _step("adam_step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    _step("adamw_step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    _step("adagrad_step", "square_sum"),
    _step("adadelta_step", "square_avg", "acc_delta"),
    _step("rmsprop_step", "square_avg"),
]  # fmt: skip
