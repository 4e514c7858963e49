"""Samples drawn at random for each row of the op table: shapes, arguments and values that hurt (`fuzzing` runs them)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from draw import Draw, Shape
from harness import Op, Sample
from op_table import ELEMENTWISE, arguments_of

# ---- elementwise ------------------------------------------------------------------------------------------------------


def _elementwise(op: Op) -> Callable[[Draw], Sample]:
    """With arguments of the op table, drawn apart from each other."""
    choices = arguments_of(op)

    def draw(d: Draw) -> Sample:
        x = d.values(*d.shape(d.int(0, 4), d.pick(40, 600, 5000, 40_000)), scale=d.pick(1.0, 3.0, 30.0))
        return d.sample(x, **{name: d.pick(*options) for name, options in choices.items()})

    return draw


def _add(d: Draw) -> Sample:
    shape = d.shape(d.int(0, 4), d.pick(40, 5000, 40_000))
    return d.sample(d.values(*shape), d.values(*shape))


def _prelu(d: Draw) -> Sample:
    shape = d.shape(d.int(2, 4), d.pick(60, 5000, 30_000))
    return d.sample(d.values(*shape), d.normal(d.pick(1, max(1, shape[1]))))


def _rrelu(d: Draw) -> Sample:
    low = d.pick(0.0, 0.125, 0.25)
    options = {"lower": low, "upper": low + d.pick(0.0, 0.25)}
    if d.chance(0.7):
        options |= {"training": True, "rng": d.int(0, 9)}
    return d.sample(d.values(*d.shape(d.int(0, 3), d.pick(60, 9000))), **options)


def _maxout(d: Draw) -> Sample:
    rank, k = d.int(1, 4), d.pick(1, 2, 3, 5)
    shape, axis = list(d.shape(rank, d.pick(60, 5000, 20_000))), d.int(-rank, rank - 1)
    shape[axis] = -(-shape[axis] // k) * k
    return d.sample(d.values(*shape), k=k, axis=axis)


def _pixel_shuffle(d: Draw) -> Sample:
    r, (n, c, h, w) = d.pick(1, 2, 3, 4), d.shape(4, d.pick(8, 300, 2000))
    return d.sample(d.values(n, c * r * r, h, w), upscale_factor=r)


def _pixel_unshuffle(d: Draw) -> Sample:
    r, (n, c, h, w) = d.pick(1, 2, 3, 4), d.shape(4, d.pick(8, 300, 2000))
    return d.sample(d.values(n, c, h * r, w * r), downscale_factor=r)


def _softmax(d: Draw) -> Sample:
    rank = d.int(1, 4)
    x = d.values(*d.shape(rank, d.pick(60, 3000, 20_000)), scale=d.pick(1.0, 10.0))
    return d.sample(x, axis=d.int(-rank, rank - 1))


def _dropout(space: int | None) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        rank = d.int(0, 4) if space is None else space + 2
        x = d.values(*d.shape(rank, d.pick(60, 9000)))
        return d.sample(x, p=d.pick(0.0, 0.25, 0.5, 0.875, 1.0), training=d.chance(0.9), rng=d.int(0, 99))

    return draw


# ---- products ---------------------------------------------------------------------------------------------------------


def _extents(d: Draw, work: int = 100_000) -> tuple[int, int, int]:
    m = d.size(d.pick(3, 40, 600))
    k = d.size(max(1, min(700, work // m)))
    n = d.size(max(1, min(700, work // (m * k))))
    return m, k, n


def _linear(d: Draw) -> Sample:
    m, k, n = _extents(d)
    x = d.values(*d.pick((m,), (m,), (), (m, 1), (0,)), k)
    return d.sample(x, d.normal(n, k), d.maybe(d.normal(n)))


def _matmul(d: Draw) -> Sample:
    m, k, n = _extents(d)
    a: Shape = (m, k)
    b: Shape = (k, n)
    if d.chance(0.4) and m * k * n < 20_000:
        stack = d.shape(d.int(1, 2), 6)
        a = d.pick((*stack, *a), (*stack, *a), (*(1 for _ in stack), *a))
        b = d.pick((*stack, *b), b)
    elif d.chance(0.2):
        a = d.pick(a, (k,))
        b = d.pick(b, (k,))
    return d.sample(d.values(*a), d.normal(*b))


def _pad(d: Draw) -> Sample:
    shape, mode = d.shape(d.int(0, 4), d.pick(12, 600, 5000)), d.pick("constant", "reflect", "replicate", "circular")
    sides = []
    for n in shape:
        low, high = (d.pick(0, 0, 1, 2, -1, d.int(0, 9)) if n < 600 else d.pick(0, 1, 40, -n // 3) for _ in range(2))
        low = max(low, -n)
        high = max(high, -n - min(low, 0))
        if n + min(low, 0) + min(high, 0) == 0 and mode != "constant":
            low, high = min(low, 0), min(high, 0)
        sides.append((low, high))
    padding = tuple(sides) if d.chance(0.5) else tuple(n for pair in reversed(sides) for n in pair)
    options = {"value": d.pick(0.0, 1.5, -np.inf)} if mode == "constant" else {}
    return d.sample(d.values(*shape), padding=padding, mode=mode, **options)


def _embedding(d: Draw) -> Sample:
    rows = d.size(70)
    index = d.labels(rows, *d.shape(d.int(0, 3), d.pick(9, 300)))
    return d.sample(d.values(rows, d.size(130)), index=index, padding_idx=d.maybe(d.int(-rows, rows - 1), 0.3))


def _recurrent(
    gates: int, states: int, peepholes: bool = False, **choices: tuple[Any, ...]
) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        steps, batch, inputs, units = d.size(7), d.size(d.pick(3, 40)), d.size(20), d.size(d.pick(5, 40, 70))
        if d.chance(0.03):
            steps, batch = d.pick((0, batch), (steps, 0))
        initial = [d.maybe(d.normal(batch, units), 0.7) for _ in range(states)]
        weights = [d.normal(gates * units, n, scale=n**-0.5) for n in (inputs, units)]
        biases = [d.maybe(d.normal(gates * units)) for _ in range(2)]
        further = [d.maybe(d.normal(3 * units))] if peepholes else []
        lengths = d.rng.integers(1, steps + 1, batch).tolist() if steps and batch and d.chance(0.4) else None
        options = {name: d.pick(*values) for name, values in choices.items()}
        x = d.values(steps, batch, inputs)
        return d.sample(x, *initial, *weights, *biases, *further, lengths=lengths, reverse=d.chance(0.5), **options)

    return draw


# ---- convolution ------------------------------------------------------------------------------------------------------


def _windows(d: Draw, rank: int, most: int) -> Shape:
    kernel = tuple(d.pick(1, 2, 3, 3, 3, 4, 5, 7, d.int(1, 11)) for _ in range(rank))
    if d.chance(0.35):
        return (3,) * rank  # Winograd's
    return tuple(min(k, most) for k in kernel)


def _plain(d: Draw, values: Shape) -> Any:
    """One number where all axes agree, now and then."""
    return values[0] if len(set(values)) == 1 and d.chance(0.7) else values


def _conv_shapes(d: Draw, rank: int, work: int) -> tuple[Shape, Shape, dict[str, Any]]:
    groups = d.pick(1, 1, 1, 2, 3)
    style = d.int(0, 5)
    if style == 0:  # depthwise
        groups, c, k = d.int(1, 17), 1, d.pick(1, 1, 2)
    elif style == 1:  # many channels, few positions
        groups, c, k = d.pick(1, 1, 2), d.int(8, 70), d.int(8, 70)
    else:
        c, k = d.size(34), d.size(34)
    n = d.size(d.pick(2, 5, 33))
    kernel = _windows(d, rank, 11 if rank < 3 else 4)
    dilation = tuple(d.pick(1, 1, 2, 3) for _ in range(rank)) if d.chance(0.3) else (1,) * rank
    stride = tuple(d.pick(1, 1, 2, 3, 5) for _ in range(rank)) if d.chance(0.4) else (1,) * rank
    reach = [(f - 1) * e + 1 for f, e in zip(kernel, dilation, strict=True)]
    padding = d.pick(0, 0, 1, 1, 2, "same", "full", tuple((d.int(0, r), d.int(0, r)) for r in reach))
    size = list(d.shape(rank, max(4, work // (n * c * k * groups * math.prod(kernel))), empty=0))
    for i in range(rank):
        if d.chance(0.95):
            size[i] = max(size[i], reach[i] + d.pick(0, 0, 1))
    if d.chance(0.03):
        n = 0
    options = {"stride": _plain(d, stride), "padding": padding, "dilation": _plain(d, dilation), "groups": groups}
    return (n, c * groups, *size), (k * groups, c, *kernel), options


def _conv(rank: int) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        x, weight, options = _conv_shapes(d, rank, 150_000)
        return d.sample(d.values(*x), d.normal(*weight), d.maybe(d.normal(weight[0])), **options)

    return draw


def _conv_transpose(rank: int) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        x, weight, options = _conv_shapes(d, rank, 80_000)
        k = weight[0]
        weight = (x[1], k // options["groups"], *weight[2:])
        if isinstance(options["padding"], str):
            options["padding"] = d.int(0, 2)
        if d.chance(0.2):  # windows side by side
            options |= {"stride": weight[2:], "dilation": 1, "padding": 0}
        options["output_padding"] = d.pick(0, 0, 0, 1)
        return d.sample(d.values(*x), d.normal(*weight), d.maybe(d.normal(k)), **options)

    return draw


# ---- pooling ----------------------------------------------------------------------------------------------------------


def _planes(d: Draw, elements: int) -> Shape:
    """Images and channels; only the former may be missing."""
    n, c = d.shape(2, elements, empty=0)
    return (0 if d.chance(0.03) else n), c


def _pool(rank: int, **choices: tuple[Any, ...]) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        space = d.shape(rank, d.pick(40, 600, 3000), empty=0)
        kernel = tuple(min(17, d.pick(1, 2, 2, 3, 3, 4, 5, d.int(1, s), s)) for s in space)
        options: dict[str, Any] = {"kernel_size": _plain(d, kernel)}
        strides = (None, None, 1, 2, 3, tuple(d.int(1, s + 2) for s in space), max(space) + 1)
        options["stride"] = d.pick(*strides)
        pads = (0, 0, tuple(d.int(0, k // 2) for k in kernel), tuple((d.int(0, k // 2), 0) for k in kernel))
        options["padding"] = d.pick(*pads)
        options["dilation"] = d.pick(1, 1, 1, 2, tuple(d.int(1, 3) for _ in range(rank)))
        options |= {"ceil_mode": d.chance(0.3)} | {name: d.pick(*values) for name, values in choices.items()}
        return d.sample(d.values(*_planes(d, d.pick(4, 40, 80)), *space), **options)

    return draw


def _adaptive(rank: int) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        space = d.shape(rank, d.pick(40, 600, 3000), empty=0)
        size = tuple(d.pick(None, 1, d.size(12), max(1, s // 2), s) for s in space)
        return d.sample(d.values(*_planes(d, d.pick(4, 40)), *space), output_size=size)

    return draw


def _interpolate(d: Draw) -> Sample:
    rank = d.int(1, 3)
    space = d.shape(rank, d.pick(40, 600, 3000), empty=0)
    mode = d.pick("nearest", "nearest-exact", "linear", "cubic", "area")
    options: dict[str, Any] = {"mode": mode}
    if d.chance(0.5):
        options["size"] = d.shape(rank, d.pick(40, 600, 3000), empty=0)
    else:
        options["scale_factor"] = tuple(d.pick(1.0, 2.0, 1.5, 0.5, 0.7, 3.3) if s > 2 else 2.0 for s in space)
    if mode in ("linear", "cubic"):
        options |= {
            "antialias": d.chance(0.3),
            "exclude_outside": d.chance(0.2),
            "align_corners": d.pick(None, True, False),
        }
    if mode in ("nearest", "linear", "cubic") and options.get("align_corners") is None and d.chance(0.5):
        rules = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
        options["coordinates"] = d.pick(*rules, "tf_crop_and_resize")
        if options["coordinates"] == "tf_crop_and_resize":
            options["roi"] = tuple(d.pick(-0.25, 0.0, 0.3, 0.8, 1.0, 1.2) for _ in range(2 * rank))
    return d.sample(d.values(*_planes(d, d.pick(4, 40)), *space), **options)


# ---- norms ------------------------------------------------------------------------------------------------------------


def _batch_norm(residual: bool) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        shape = d.shape(d.int(2, 5), d.pick(60, 3000, 20_000), empty=0.01)
        c, training = shape[1], d.chance(0.6)
        x = d.values(*shape)
        options: dict[str, Any] = {"running_mean": None, "running_var": None}
        if not training or d.chance(0.7):
            options = {"running_mean": d.normal(c), "running_var": d.positive(c)}
        options |= {"training": training, "momentum": d.pick(0.99, 0.9, 0.0, 1.0), "eps": d.pick(1e-5, 1e-3, 0.1)}
        options |= {"unbiased": d.chance(0.7)}
        added = (d.maybe(d.normal(*shape)),) if residual else ()
        return d.sample(x, d.maybe(d.normal(c)), d.maybe(d.normal(c)), *added, **options)

    return draw


def _norm(d: Draw, shape: Shape, parameter: Shape, **options: Any) -> Sample:
    affine = d.maybe(d.normal(*parameter)), d.maybe(d.normal(*parameter))
    return d.sample(d.values(*shape), *affine, eps=d.pick(1e-5, 1e-3, 0.1), **options)


def _layer_norm(d: Draw) -> Sample:
    shape = d.shape(d.int(1, 4), d.pick(60, 3000, 20_000), empty=0)
    parameter = shape[d.int(0, len(shape) - 1) :]
    if len(parameter) < len(shape) and d.chance(0.03):
        shape = (0, *shape[1:])
    return _norm(d, shape, parameter, normalized_shape=parameter)


def _rms_norm(d: Draw) -> Sample:
    x, weight, _ = (sample := _layer_norm(d)).arrays
    return d.sample(x, weight, **sample.options)


def _instance_norm(d: Draw) -> Sample:
    shape = d.shape(d.int(3, 5), d.pick(60, 3000, 20_000), empty=0.01)
    c = shape[1]
    if d.chance(0.5):
        return _norm(d, shape, (c,), running_mean=None, running_var=None)
    running = {"running_mean": d.normal(c), "running_var": d.positive(c)}
    options = {"momentum": d.pick(0.99, 0.9, 0.0, 1.0), "unbiased": d.chance(0.7)}
    return _norm(d, shape, (c,), **running, use_input_stats=d.chance(0.5), **options)


def _group_norm(d: Draw) -> Sample:
    groups = d.int(1, 5)
    shape = list(d.shape(d.int(2, 5), d.pick(60, 3000, 10_000), empty=0))
    shape[0] *= not d.chance(0.03)
    shape[1] = max(1, min(shape[1], 64)) * groups
    return _norm(d, tuple(shape), (shape[1],), num_groups=groups)


def _local_response_norm(d: Draw) -> Sample:
    n, *rest = d.shape(d.int(2, 4), d.pick(60, 5000), empty=0)
    x = d.values(0 if d.chance(0.03) else n, *rest, scale=2)
    return d.sample(x, size=d.int(1, 9), alpha=d.pick(1e-4, 0.1, 1.0), beta=d.pick(0.75, 0.5, 1.0), k=d.pick(1.0, 2.0))


# ---- losses -----------------------------------------------------------------------------------------------------------


def _reduction(d: Draw) -> str:
    return str(d.pick("mean", "sum", "none"))


def _cross_entropy(d: Draw) -> Sample:
    n, classes = d.size(70), d.size(d.pick(12, 130))
    space = d.pick((), (), d.shape(d.int(1, 2), 30))
    logits = d.values(n, classes, *space, scale=3)
    options = {"weight": d.maybe(d.positive(classes)), "reduction": _reduction(d)}
    options |= {"target": d.labels(classes, n, *space, ignored=True), "label_smoothing": d.pick(0.0, 0.0, 0.125, 1.0)}
    if d.chance(0.3):
        options["target"] = d.share(*logits.shape)
    return d.sample(logits, **options)


def _two_losses(**choices: tuple[Any, ...]) -> Callable[[Draw], Sample]:
    """Losses with a gradient by the target too."""

    def draw(d: Draw) -> Sample:
        shape = d.shape(d.int(0, 3), d.pick(40, 3000, 20_000))
        options = {name: d.pick(*values) for name, values in choices.items()}
        return d.sample(d.values(*shape, scale=2), d.normal(*shape), reduction=_reduction(d), **options)

    return draw


def _hinge_loss(d: Draw) -> Sample:
    shape = d.shape(d.int(0, 3), d.pick(40, 3000, 20_000))
    target = np.asarray(d.rng.choice([-1.0, 1.0], shape))
    return d.sample(d.values(*shape), target=target, margin=d.pick(1.0, 0.25), reduction=_reduction(d))


def _kl_div(d: Draw) -> Sample:
    shape = d.shape(d.int(1, 3), d.pick(40, 3000, 20_000))
    target = d.share(*shape)
    options = {"log_target": d.chance(0.4), "reduction": d.pick("mean", "sum", "none", "batchmean")}
    if options["log_target"]:
        target = np.asarray(np.log(target + 1e-3)).astype(np.float32).astype(np.float64)
    return d.sample(-np.abs(d.values(*shape)), target=target, **options)


def _binary_cross_entropy(d: Draw) -> Sample:
    shape = d.shape(d.int(0, 3), d.pick(40, 3000, 20_000))
    options = {"target": d.share(*shape), "reduction": _reduction(d)}
    options["weight"] = d.maybe(d.positive(*d.pick(shape, shape[-1:])), 0.3)
    options["pos_weight"] = d.maybe(d.positive(*shape[-1:]), 0.3)
    return d.sample(d.values(*shape, scale=2), **options)


def _nll_loss(d: Draw) -> Sample:
    n, classes = d.size(70), d.size(d.pick(12, 130))
    space = d.pick((), (), d.shape(d.int(1, 2), 30))
    options = {"target": d.labels(classes, n, *space, ignored=True), "weight": d.maybe(d.positive(classes))}
    return d.sample(d.values(n, classes, *space), reduction=_reduction(d), **options)


def _multi_margin_loss(d: Draw) -> Sample:
    n, classes = d.size(70), d.size(d.pick(12, 130))
    options = {"target": d.labels(classes, n), "weight": d.maybe(d.positive(classes)), "p": d.pick(1, 2)}
    return d.sample(d.values(n, classes), margin=d.pick(1.0, 0.5), reduction=_reduction(d), **options)


# ---- optimiser steps --------------------------------------------------------------------------------------------------

_RATES = {"lr": (0.125, 1e-3), "weight_decay": (0.0, 0.01), "l1": (0.0, 0.02)}
_ADAM = _RATES | {"step": (1, 2, 1000, 10**9), "betas": ((0.9, 0.999), (0.5, 0.9)), "eps": (1e-8, 1e-3)}
_INSIDE = _RATES | {"eps": (1e-8, 1e-3), "eps_inside": (False, True)}


def _step(signed: tuple[str, ...], positive: tuple[str, ...], **choices: tuple[Any, ...]) -> Callable[[Draw], Sample]:
    def draw(d: Draw) -> Sample:
        shape = d.shape(d.int(0, 3), d.pick(40, 3000, 30_000))
        options = {name: d.pick(*values) for name, values in choices.items()}
        arrays = {"param": d.normal(*shape), "grad": d.values(*shape)}
        arrays |= {name: d.normal(*shape) for name in signed} | {name: d.positive(*shape) for name in positive}
        if "max_exp_avg_sq" in arrays and d.chance(0.5):
            del arrays["max_exp_avg_sq"]
        return d.sample(**arrays, **options)

    return draw


def _sgd_step(d: Draw) -> Sample:
    if d.chance(0.4):
        return _step((), (), **_RATES)(d)
    return _step(("momentum_buffer",), (), **_RATES, momentum=(0.9, 0.5), nesterov=(False, True))(d)


# One per row of the op table.
DRAWS: dict[str, Callable[[Draw], Sample]] = {
    **{op.name: _elementwise(op) for op in ELEMENTWISE},
    "add": _add, "prelu": _prelu, "rrelu": _rrelu, "maxout": _maxout,
    "pixel_shuffle": _pixel_shuffle, "pixel_unshuffle": _pixel_unshuffle, "softmax": _softmax, "log_softmax": _softmax,
    "dropout": _dropout(None), **{f"dropout{n}d": _dropout(n) for n in (1, 2, 3)},
    "linear": _linear, "matmul": _matmul, "pad": _pad, "embedding": _embedding,
    "rnn": _recurrent(1, 1, nonlinearity=("tanh", "relu")), "lstm": _recurrent(4, 2, peepholes=True),
    "gru": _recurrent(3, 1, reset_after=(True, False)),
    **{f"conv{n}d": _conv(n) for n in (1, 2, 3)}, **{f"conv_transpose{n}d": _conv_transpose(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": _pool(n, return_indices=(False, True)) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _pool(n, count_include_pad=(False, True), divisor_override=(None, None, 3)) for n in (1, 2, 3)},
    **{f"lp_pool{n}d": _pool(n, norm_type=(1, 2, 2.0, 3, 1.5)) for n in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{n}d": _adaptive(n) for n in (1, 2, 3) for kind in ("avg", "max")},
    "interpolate": _interpolate,
    "batch_norm": _batch_norm(False), "batch_norm_relu": _batch_norm(True), "layer_norm": _layer_norm,
    "rms_norm": _rms_norm, "instance_norm": _instance_norm, "group_norm": _group_norm,
    "local_response_norm": _local_response_norm,
    "cross_entropy": _cross_entropy, "mse_loss": _two_losses(), "l1_loss": _two_losses(),
    "huber_loss": _two_losses(delta=(1.0, 0.5, 3.0)), "hinge_loss": _hinge_loss, "kl_div": _kl_div,
    "binary_cross_entropy_with_logits": _binary_cross_entropy, "nll_loss": _nll_loss,
    "multi_margin_loss": _multi_margin_loss,
    "sgd_step": _sgd_step,
    "adam_step": _step(("exp_avg",), ("exp_avg_sq", "max_exp_avg_sq"), **_ADAM),
    "adamw_step": _step(("exp_avg",), ("exp_avg_sq", "max_exp_avg_sq"), **_ADAM),
    "rmsprop_step": _step((), ("square_avg",), alpha=(0.9, 0.99), **_INSIDE),
    "adagrad_step": _step((), ("square_sum",), **_INSIDE),
    "adadelta_step": _step((), ("square_avg", "acc_delta"), **_RATES, rho=(0.9, 0.5), eps=(1e-6, 1e-2)),
}  # fmt: skip
