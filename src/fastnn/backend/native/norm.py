"""Normalisation: y = (x - mean) * rstd * weight + bias with rstd = 1 / sqrt(var + eps), var the biased variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _core
from ..._core import (
    batch_norm_eval_forward,
    batch_norm_train_forward,
    group_norm_forward,
    layer_norm_forward,
)
from ...checks import GroupNorm, Norm
from ._common import Array, Gradients, Needs, room

__all__ = [
    "batch_norm_backward",
    "batch_norm_eval_backward",
    "batch_norm_eval_forward",
    "batch_norm_relu_backward",
    "batch_norm_train_forward",
    "group_norm_backward",
    "group_norm_forward",
    "layer_norm_backward",
    "layer_norm_forward",
]


def _batch_norm_gradients(
    g: Norm, training: bool, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> Gradients:
    dx = _core.empty(x.shape, x.dtype) if needs[0] else None
    dweight = room(needs[1], (g.channels,), x.dtype)
    dbias = room(needs[2], (g.channels,), x.dtype)
    _core.batch_norm_backward(g, training, False, dy, x, None, weight, None, mean, rstd, dx, None, dweight, dbias)
    return dx, dweight if needs[1] else None, dbias if needs[2] else None


def batch_norm_backward(
    g: Norm, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> Gradients:
    return _batch_norm_gradients(g, True, dy, x, weight, mean, rstd, needs)


def batch_norm_eval_backward(
    g: Norm, dy: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float, needs: Needs
) -> Gradients:
    with np.errstate(divide="ignore", invalid="ignore"):
        rstd = 1 / np.sqrt(var.astype(np.float64) + eps)
    return _batch_norm_gradients(g, False, dy, x, weight, mean, rstd, needs)


def batch_norm_relu_backward(
    g: Norm,
    dy: Array,
    x: Array,
    y: Array | None,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    rstd: Array,
    needs: tuple[Any, Any, Any, Any],
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    dx = _core.empty(x.shape, x.dtype) if needs[0] else None
    dresidual = None if y is None else _core.empty(x.shape, x.dtype)
    dweight = room(needs[1], (g.channels,), x.dtype)
    dbias = room(needs[2], (g.channels,), x.dtype)
    _core.batch_norm_backward(g, True, True, dy, x, y, weight, bias, mean, rstd, dx, dresidual, dweight, dbias)
    return dx, dweight if needs[1] else None, dbias if needs[2] else None, dresidual


def layer_norm_backward(
    g: Norm, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> Gradients:
    parameters = needs[1] or needs[2]
    dx = _core.empty(x.shape, x.dtype) if needs[0] else None
    dweight = _core.empty((g.inner,), x.dtype) if parameters else None
    dbias = _core.empty((g.inner,), x.dtype) if parameters else None
    _core.layer_norm_backward(g, dy, x, weight, mean, rstd, dx, dweight, dbias)
    return dx, dweight if needs[1] else None, dbias if needs[2] else None


def group_norm_backward(
    g: GroupNorm, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> Gradients:
    dx = _core.empty(x.shape, x.dtype) if needs[0] else None
    dweight = _core.empty((g.groups * g.channels,), x.dtype) if needs[1] else None
    dbias = _core.empty((g.groups * g.channels,), x.dtype) if needs[2] else None
    _core.group_norm_backward(g, dy, x, weight, mean, rstd, dx, dweight, dbias)
    return dx, dweight, dbias
