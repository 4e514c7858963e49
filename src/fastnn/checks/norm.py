"""The checks of normalisation: how x splits into statistics, affine parameters and running statistics."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import scalars
from .arrays import FLOAT32, FLOAT64, Array, Shape, array, in_place, limited, no_overlap, operand, optional
from .geometry import MAX_EXTENT


class Norm(NamedTuple):
    """x as (outer, channels, inner): batch norm has one statistic per channel, layer norm (channels = 1) per row."""

    outer: int
    channels: int
    inner: int


class GroupNorm(NamedTuple):
    """x as (n, groups, channels, inner), ``channels`` per group: one statistic per sample and group."""

    n: int
    groups: int
    channels: int
    inner: int


@lru_cache(maxsize=1024)
def _batch_geometry(op: str, x: Shape, training: bool) -> Norm:
    if len(x) < 2:
        raise ValueError(f"{op}: x must have at least 2 axes (n, c, ...), got shape {x}")
    limited(op, "x", *x)
    g = Norm(x[0], x[1], math.prod(x[2:]))
    if training and g.outer * g.inner < 2:
        raise ValueError(f"{op}: training needs more than one value per channel, got x of shape {x}")
    return g


@lru_cache(maxsize=1024)
def _layer_geometry(op: str, x: Shape, normalized: Shape) -> Norm:
    lead = len(x) - len(normalized)
    if not normalized or 0 in normalized or x[max(lead, 0) :] != normalized:
        raise ValueError(f"{op}: x of shape {x} does not end in normalized_shape {normalized} (not empty)")
    limited(op, "x", *x)
    return Norm(math.prod(x[:lead]), 1, math.prod(normalized))


@lru_cache(maxsize=1024)
def _response_geometry(op: str, x: Shape) -> Norm:
    if len(x) < 2 or 0 in x[1:]:
        raise ValueError(f"{op}: x must have axes (n, c, ...) of which only the batch may be empty, got shape {x}")
    limited(op, "x", *x)
    return Norm(x[0], x[1], math.prod(x[2:]))


@lru_cache(maxsize=1024)
def _group_geometry(op: str, x: Shape, num_groups: int | None) -> GroupNorm:
    """Where ``num_groups`` is None each channel is a group (instance norm), which has statistics only if there is space."""
    if len(x) < (3 if num_groups is None else 2) or 0 in x[1:]:
        raise ValueError(
            f"{op}: x must have axes (n, c, ...), {'at least one of them spatial, ' if num_groups is None else ''}"
            f"and only the batch may be empty, got shape {x}"
        )
    limited(op, "x", *x)
    inner = math.prod(x[2:])
    if num_groups is None:
        if inner < 2:
            raise ValueError(f"{op}: needs more than one spatial element, got x of shape {x}")
        return GroupNorm(x[0], x[1], 1, inner)
    if num_groups < 1 or x[1] % num_groups:
        raise ValueError(f"{op}: num_groups={num_groups} does not divide the {x[1]} channels of x of shape {x}")
    return GroupNorm(x[0], num_groups, x[1] // num_groups, inner)


def _eps(op: str, eps: Any) -> float:
    return scalars.real(op, "eps", eps, 0.0)


def batch_norm(
    op: str,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: Any,
    momentum: Any,
    eps: Any,
    unbiased: Any,
    residual: Any = None,
) -> tuple[Norm, Array, Array | None, Array | None, Array | None, Array | None, bool, float, float, bool, Array | None]:
    """Of ``batch_norm`` and ``batch_norm_relu``: all arguments, clean; the running statistics writeable in training."""
    x = array(op, "x", x)
    training = scalars.flag(op, "training", training)
    g = _batch_geometry(op, x.shape, training)
    shape = (g.channels,)
    weight = optional(op, "weight", weight, x.dtype, shape)
    bias = optional(op, "bias", bias, x.dtype, shape)
    residual = optional(op, "residual", residual, x.dtype, x.shape)
    momentum, eps = scalars.real(op, "momentum", momentum, 0.0, 1.0), _eps(op, eps)
    unbiased = scalars.flag(op, "unbiased", unbiased)
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{op}: running_mean and running_var must both be given or both be None, x of shape {x.shape}")
    if not training:
        running_mean, running_var = _evaluated(op, running_mean, running_var, x, shape)
    elif running_mean is not None:
        running_mean = in_place(op, "running_mean", running_mean, x.dtype, shape)
        running_var = in_place(op, "running_var", running_var, x.dtype, shape)
        no_overlap(
            op,
            {"running_mean": running_mean, "running_var": running_var},
            x=x,
            weight=weight,
            bias=bias,
            residual=residual,
        )
    return g, x, running_mean, running_var, weight, bias, training, momentum, eps, unbiased, residual


def layer_norm(
    op: str, x: Any, normalized_shape: Any, weight: Any, bias: Any, eps: Any
) -> tuple[Norm, Array, Array | None, Array | None, float]:
    """Of ``layer_norm``: weight and bias come out flat."""
    x = array(op, "x", x)
    if type(normalized_shape) is int:
        normalized_shape = (normalized_shape,)
    shape = scalars.ints(op, "normalized_shape", normalized_shape)
    g = _layer_geometry(op, x.shape, shape)
    weight = optional(op, "weight", weight, x.dtype, shape)
    bias = optional(op, "bias", bias, x.dtype, shape)
    flat = (None if weight is None else weight.reshape(-1)), (None if bias is None else bias.reshape(-1))
    return g, x, *flat, _eps(op, eps)


def rms_norm(op: str, x: Any, normalized_shape: Any, weight: Any, eps: Any) -> tuple[Norm, Array, Array | None, float]:
    """Of ``rms_norm``: weight comes out flat, eps None as the spacing of the dtype's numbers at 1."""
    given = 0.0 if eps is None else eps
    g, x, weight, _, eps_ = layer_norm(op, x, normalized_shape, weight, None, given)
    return g, x, weight, (2.0**-23 if x.dtype is FLOAT32 else 2.0**-52) if eps is None else eps_


def local_response_norm(
    op: str, x: Any, size: Any, alpha: Any, beta: Any, k: Any
) -> tuple[Norm, Array, int, float, float, float]:
    """Of ``local_response_norm``: all its arguments, clean."""
    x = array(op, "x", x)
    size = scalars.integer(op, "size", size, 1)
    if size > MAX_EXTENT:
        raise ValueError(f"{op}: size must be at most 2**31 - 1, got {size}")
    alpha, k = scalars.real(op, "alpha", alpha, 0.0), scalars.real(op, "k", k, 0.0)
    return _response_geometry(op, x.shape), x, size, alpha, scalars.real(op, "beta", beta), k


def group_norm(
    op: str, x: Any, num_groups: Any, weight: Any, bias: Any, eps: Any
) -> tuple[GroupNorm, Array, Array | None, Array | None, float]:
    """Of ``group_norm``, and where ``num_groups`` is None of ``instance_norm``."""
    x = array(op, "x", x)
    if num_groups is not None:
        num_groups = scalars.integer(op, "num_groups", num_groups)
    g = _group_geometry(op, x.shape, num_groups)
    shape = (g.groups * g.channels,)
    return (
        g,
        x,
        optional(op, "weight", weight, x.dtype, shape),
        optional(op, "bias", bias, x.dtype, shape),
        _eps(op, eps),
    )


class InstanceStatistics(NamedTuple):
    """Running statistics that ``instance_norm`` updates."""

    mean: Array
    var: Array
    momentum: float
    unbiased: bool


def instance_statistics(
    op: str, running_mean: Any, running_var: Any, momentum: Any, unbiased: Any, x: Any, weight: Any, bias: Any
) -> InstanceStatistics | None:
    """What ``instance_norm`` takes beyond group norm where it uses the statistics of x; None without running ones."""
    momentum, unbiased = scalars.real(op, "momentum", momentum, 0.0, 1.0), scalars.flag(op, "unbiased", unbiased)
    if running_mean is None and running_var is None:
        return None
    g, x, weight, bias, _ = group_norm(op, x, None, weight, bias, 0.0)
    if running_mean is None or running_var is None:
        raise ValueError(f"{op}: running_mean and running_var must both be given or both be None, x of shape {x.shape}")
    mean = in_place(op, "running_mean", running_mean, x.dtype, (g.groups,))
    var = in_place(op, "running_var", running_var, x.dtype, (g.groups,))
    no_overlap(op, {"running_mean": mean, "running_var": var}, x=x, weight=weight, bias=bias)
    return InstanceStatistics(mean, var, momentum, unbiased)


def norm_backward(
    op: str, dy: Any, x: Array, mean: Any, rstd: Any, shape: Shape
) -> tuple[Array, Array | None, Array | None]:
    """dy of x's shape, and mean and rstd of ``shape`` where both are given."""
    dy = operand(op, "dy", dy, x.dtype, x.shape)
    if (mean is None) != (rstd is None):
        raise ValueError(f"{op}: mean and rstd must both be given or both be None, for x of shape {x.shape}")
    return dy, statistic(op, "mean", mean, x.dtype, shape), statistic(op, "rstd", rstd, x.dtype, shape)


def statistic(op: str, name: str, value: Any, dtype: np.dtype[Any], shape: Shape) -> Array | None:
    """A mean or an rstd for a backward: float64, in which they are exact, or of the dtype of x."""
    if value is None:
        return None
    a = array(op, name, value)
    return operand(op, name, a, a.dtype if a.dtype is FLOAT64 else dtype, shape)


def batch_norm_backward(
    op: str,
    dy: Any,
    x: Any,
    weight: Any,
    eps: Any,
    mean: Any,
    rstd: Any,
    running_mean: Any,
    running_var: Any,
    training: Any,
) -> tuple[Norm, Array, Array | None, float, Array, Array | None, Array | None, Array | None, Array | None]:
    """Of ``batch_norm_backward``: the last two are the running statistics, None in training."""
    x = array(op, "x", x)
    training = _said(op, running_mean, running_var, x) if training is None else scalars.flag(op, "training", training)
    g = _batch_geometry(op, x.shape, training)
    shape = (g.channels,)
    weight, eps = optional(op, "weight", weight, x.dtype, shape), _eps(op, eps)
    if training:
        unused_statistics(op, running_mean, running_var, x, g.channels)
        return g, x, weight, eps, *norm_backward(op, dy, x, mean, rstd, shape), None, None
    if mean is not None or rstd is not None:
        raise ValueError(f"{op}: evaluation has no mean and rstd of x (of shape {x.shape}), but running statistics")
    running = _evaluated(op, running_mean, running_var, x, shape)
    return g, x, weight, eps, *norm_backward(op, dy, x, None, None, shape), *running


def _said(op: str, running_mean: Any, running_var: Any, x: Array) -> bool:
    """The default of training in a backward: True. With running statistics it must be said, since the forward had either."""
    if running_mean is not None or running_var is not None:
        raise ValueError(
            f"{op}: with running statistics, for x of shape {x.shape}, say training=False if the forward normalised with "
            "them (its default), or training=True if it had training=True"
        )
    return True


def unused_statistics(op: str, running_mean: Any, running_var: Any, x: Array, channels: int) -> None:
    """Refuse what the forward would have refused, though the gradient does not depend on it."""
    optional(op, "running_mean", running_mean, x.dtype, (channels,))
    optional(op, "running_var", running_var, x.dtype, (channels,))


def _evaluated(op: str, running_mean: Any, running_var: Any, x: Array, shape: Shape) -> tuple[Array, Array]:
    """The running statistics where they take the place of those of x."""
    if running_mean is None or running_var is None:
        raise ValueError(f"{op}: evaluation needs running_mean and running_var, got None for x of shape {x.shape}")
    mean = operand(op, "running_mean", running_mean, x.dtype, shape)
    return mean, operand(op, "running_var", running_var, x.dtype, shape)
