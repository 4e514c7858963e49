"""ONNX's normalisations, and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import ops as tape
from ..autograd import raw, shaping, sqrt
from ..autograd import reductions as sums
from .read_call import DTYPES
from .read_table import F, axes_of, axis_of, number, op


@op("BatchNormalization", outputs=3)
def _batch_norm(
    x: Any, scale: Any, bias: Any, mean: Any, var: Any, /, *, run: Any, count: int, epsilon: float = 1e-5, momentum: float = 0.9,
    training_mode: int = 0,
) -> Any:  # fmt: skip
    running = _statistic(mean), _statistic(var)
    y = F.batch_norm(x, *running, scale, bias, run.training, momentum, epsilon)
    return y if count == 1 else (y, *(np.array(statistic) for statistic in running))[:count]


def _statistic(x: Any) -> np.ndarray:
    """An array that batch norm may write to: a buffer of the model itself, or a copy of what was computed or passed in."""
    return x if type(x) is np.ndarray and x.flags.writeable else np.array(raw(x))


@op("InstanceNormalization")
def _instance_norm(x: Any, scale: Any, bias: Any, /, *, epsilon: float = 1e-5) -> Any:
    return F.instance_norm(x, scale, bias, epsilon)


def _stash(*, stash_type: int = 1, **attributes: Any) -> str | None:
    """Statistics are computed in the dtype of the values, or better."""
    return (
        None if stash_type in DTYPES and DTYPES[stash_type].kind == "f" else f"stash_type={stash_type} is not supported"
    )


@op("LayerNormalization", outputs=3, refuse=_stash)
def _layer_norm(
    x: Any,
    scale: Any,
    bias: Any = None,
    /,
    *,
    run: Any,
    count: int,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Any:
    axis = axis_of(axis, x.ndim)
    shape, axes = x.shape[axis:], tuple(range(axis, x.ndim))
    plain = F.layer_norm(x, shape, *_weights(shape, scale, bias), epsilon)
    y = _affine(plain, shape, scale, bias)
    if count == 1:
        return y
    inverse = tape.divide(1, sqrt(tape.add(sums.var(x, axes, True), epsilon)))
    return (y, sums.mean(x, axes, True), inverse)[:count]


def _weights(shape: tuple[int, ...], *weights: Any) -> Any:
    """Weights for a norm, if all of them have the shape that it takes; others are multiplied and added behind it."""
    return weights if all(w is None or w.shape == shape for w in weights) else (None,) * len(weights)


def _affine(y: Any, shape: tuple[int, ...], scale: Any, bias: Any = None) -> Any:
    if all(w is None or w.shape == shape for w in (scale, bias)):
        return y
    y = tape.multiply(y, scale)
    return y if bias is None else tape.add(y, bias)


@op("RMSNormalization", refuse=_stash)
def _rms_norm(x: Any, scale: Any, /, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Any:
    shape = x.shape[axis_of(axis, x.ndim) :]
    return _affine(F.rms_norm(x, shape, *_weights(shape, scale), epsilon), shape, scale)


@op("GroupNormalization", refuse=_stash)
def _group_norm(
    x: Any, scale: Any, bias: Any, /, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    channels = x.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"{channels} channels in {num_groups} groups")
    return F.group_norm(x, num_groups, scale, bias, epsilon)


@op("LRN")
def _lrn(x: Any, /, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Any:
    if size % 2:
        return F.local_response_norm(x, size, alpha, beta, bias)
    # ONNX's windows of even size reach one channel further up, fastnn's one further down.
    turned = (slice(None), slice(None, None, -1))
    return shaping.getitem(F.local_response_norm(shaping.getitem(x, turned), size, alpha, beta, bias), turned)


@op("MeanVarianceNormalization")
def _mean_variance_norm(x: Any, /, *, axes: Any = (0, 2, 3)) -> Any:
    along = axes_of(axes, x.ndim)
    centred = tape.subtract(x, sums.mean(x, along, True))
    return tape.divide(centred, tape.add(sums.std(x, along, True), 1e-9))


@op("LpNormalization")
def _lp_norm(x: Any, /, *, axis: int = -1, p: int = 2) -> Any:
    along = axis_of(axis, x.ndim)
    total = sums.sum(abs(x) if p == 1 else tape.multiply(x, x), along, True)
    size = total if p == 1 else sqrt(total)
    zero = raw(size) == 0
    return tape.divide(x, tape.add(size, zero.astype(raw(x).dtype)))


@op("Dropout", outputs=2)
def _dropout(x: Any, ratio: Any = None, training_mode: Any = None, /, *, run: Any, count: int, seed: int = 0) -> Any:
    if training_mode is not None and (raw(training_mode).dtype != bool or raw(training_mode).size != 1):
        raise TypeError(f"training_mode is no boolean: {raw(training_mode).dtype} of shape {training_mode.shape}")
    p = 0.5 if ratio is None else float(number(ratio))
    if not run.training or p == 0:
        return x if count == 1 else (x, np.ones(x.shape, bool))
    if count == 1:
        return F.dropout(x, p, rng=run.rng)
    scale = np.asarray(F.dropout(np.ones(x.shape, raw(x).dtype), p, rng=run.rng))
    return tape.multiply(x, scale), scale != 0
