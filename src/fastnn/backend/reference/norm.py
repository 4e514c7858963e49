"""Normalisation: y = (x - mean) * rstd * weight + bias with rstd = 1 / sqrt(var + eps), var the biased variance.

Batch norm sees x as (outer, channels, inner) with statistics over outer and inner; layer norm as (rows, columns)
with statistics over the columns; group norm as (n, groups, channels, inner) with statistics over channels and inner.
All arithmetic is in float64; results are rounded once, but mean and rstd, which the backward takes, stay in float64.

With xhat = (x - mean) * rstd and d = dy * weight, and means over what shares a statistic:
dx = rstd * (d - mean(d) - xhat * mean(d * xhat)), dweight = sum of dy * xhat, dbias = sum of dy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...checks import GroupNorm, Norm
from ._common import Array, Axes, quiet, unit_for
from .activation import relu_backward, relu_forward

Gradients = tuple[Array | None, Array | None, Array | None]


def _moments(x: Array, axes: Axes, eps: float) -> tuple[Array, Array, Array]:
    """Mean, biased variance and rstd, with the reduced axes kept.

    x is scaled, so that no square leaves the range, and the mean is a sum about the first value: exact for a constant.
    """
    x = x.astype(np.float64)
    unit = unit_for(x, axes)
    scaled = x * unit
    first = scaled[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(x.ndim))]
    off = scaled - first
    near = off.mean(axes, keepdims=True)
    deviation = np.sqrt(np.square(off - near).mean(axes, keepdims=True)) / unit
    mean = (first + near) / unit
    mean = np.where(np.isfinite(mean), mean, x.mean(axes, keepdims=True))
    return mean, np.square(deviation), 1 / np.hypot(deviation, np.sqrt(eps))


def _standardised(x: Array, mean: Array, rstd: Array) -> Array:
    """xhat in float64, halved in between so that no difference overflows."""
    return np.asarray((x.astype(np.float64) * 0.5 - mean * 0.5) * (rstd * 2))


def _affine(xhat: Array, weight: Array | None, bias: Array | None, shape: Axes) -> Array:
    """xhat * weight + bias, both of which broadcast in ``shape``."""
    if weight is not None:
        xhat = xhat * weight.reshape(shape)
    return xhat if bias is None else xhat + bias.reshape(shape)


def _gradients(
    dy: Array, xhat: Array, rstd: Array, weight: Array | None, affine: Axes, shared: Axes, needs: tuple[bool, ...]
) -> Gradients:
    """dx, dweight, dbias as in the head of this file.

    ``affine`` is the shape in which weight broadcasts, ``shared`` are the axes that share a statistic.
    """
    dx = dweight = dbias = None
    if needs[0]:
        d = _affine(dy.astype(np.float64), weight, None, affine)
        dx = rstd * (d - d.mean(shared, keepdims=True) - xhat * (d * xhat).mean(shared, keepdims=True))
    repeated = tuple(i for i, extent in enumerate(affine) if extent == 1)
    if needs[1]:
        dweight = (dy * xhat).sum(repeated).reshape(-1)
    if needs[2]:
        dbias = dy.sum(repeated, dtype=np.float64).reshape(-1)
    return dx, dweight, dbias


def _rounded(gradients: Gradients, x: Array) -> Gradients:
    dx, dweight, dbias = (None if v is None else v.astype(x.dtype) for v in gradients)
    return None if dx is None else dx.reshape(x.shape), dweight, dbias


def _column(v: Array) -> Array:
    """(channels,) to broadcast over (outer, channels, inner), in float64."""
    return v.astype(np.float64)[:, None]


@quiet
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
    moments: bool = True,
) -> Any:
    """y, and with ``moments`` also mean and rstd, (channels,); the running statistics change in place.

    running = momentum * running + (1 - momentum) * batch.
    The running variance takes the unbiased estimate var * m / (m - 1), m = outer * inner, or var itself if not
    ``unbiased``. With ``relu``, y is the ReLU of the norm, or of its sum with a residual of the shape of x.
    """
    x3, affine = x.reshape(g), (1, g.channels, 1)
    mean, var, rstd = _moments(x3, (0, 2), eps)
    y = _affine(_standardised(x3, mean, rstd), weight, bias, affine)
    m = g.outer * g.inner
    if running_mean is not None:
        running_mean[:] = momentum * running_mean + (1 - momentum) * mean.reshape(-1)
    if running_var is not None:
        share = m / (m - 1) if unbiased else 1.0
        running_var[:] = momentum * running_var + (1 - momentum) * share * var.reshape(-1)
    y = _finished(y.astype(x.dtype).reshape(x.shape), residual, relu)
    return (y, mean.reshape(-1), rstd.reshape(-1)) if moments else y


def _finished(y: Array, residual: Array | None, relu: bool) -> Array:
    """What follows the norm."""
    if residual is not None:
        y = y + residual
    return relu_forward(y) if relu else y


@quiet
def batch_norm_backward(
    g: Norm, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: tuple[bool, ...]
) -> Gradients:
    """y = (x - mean) * rstd * weight + bias, where mean and rstd depend on x."""
    xhat = _standardised(x.reshape(g), _column(mean), _column(rstd))
    return _rounded(
        _gradients(dy.reshape(g), xhat, _column(rstd), weight, (1, g.channels, 1), (0, 2), needs), x
    )  # fmt: skip


@quiet
def batch_norm_relu_backward(
    g: Norm,
    dy: Array,
    x: Array,
    y: Array | None,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    rstd: Array,
    needs: tuple[bool, ...],
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    """dx, dweight, dbias and the residual's gradient; without a residual y is not given, and made again from x."""
    if y is None:
        xhat = _standardised(x.reshape(g), _column(mean), _column(rstd))
        dz = relu_backward(dy, _affine(xhat, weight, bias, (1, g.channels, 1)).reshape(x.shape))
        return *batch_norm_backward(g, dz, x, weight, mean, rstd, needs[:3]), None
    dz = relu_backward(dy, y)
    return *batch_norm_backward(g, dz, x, weight, mean, rstd, needs[:3]), dz


@quiet
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
) -> Array:
    """y = (x - mean) * rstd * weight + bias with the running statistics; residual and ReLU as in training."""
    xhat = _standardised(x.reshape(g), _column(mean), 1 / np.sqrt(_column(var) + eps))
    y = _affine(xhat, weight, bias, (1, g.channels, 1)).astype(x.dtype).reshape(x.shape)
    return _finished(y, residual, relu)


@quiet
def batch_norm_eval_backward(
    g: Norm,
    dy: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    var: Array,
    eps: float,
    needs: tuple[bool, ...],
) -> Gradients:
    """y = (x - mean) * rstd * weight + bias with constant mean and rstd, hence dx = dy * weight * rstd."""
    rstd = 1 / np.sqrt(_column(var) + eps)
    dy3, affine = dy.reshape(g), (1, g.channels, 1)
    xhat = _standardised(x.reshape(g), _column(mean), rstd)
    _, dweight, dbias = _gradients(dy3, xhat, rstd, weight, affine, (0, 2), (False, *needs[1:]))
    return _rounded((_affine(dy3 * rstd, weight, None, affine) if needs[0] else None, dweight, dbias), x)


@quiet
def layer_norm_forward(
    g: Norm, x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """y, mean (outer,), rstd (outer,) for x as (outer, inner), weight and bias (inner,)."""
    x2 = x.reshape(g.outer, g.inner)
    mean, _, rstd = _moments(x2, (1,), eps)
    y = _affine(_standardised(x2, mean, rstd), weight, bias, (1, g.inner))
    return y.astype(x.dtype).reshape(x.shape), mean.reshape(-1), rstd.reshape(-1)


@quiet
def layer_norm_backward(
    g: Norm, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: tuple[bool, ...]
) -> Gradients:
    """y = (x - mean) * rstd * weight + bias, where mean and rstd depend on the row."""
    xhat = _standardised(x.reshape(g.outer, g.inner), _column(mean), _column(rstd))
    dy2 = dy.reshape(g.outer, g.inner)
    dx, dweight, dbias = _gradients(dy2, xhat, _column(rstd), weight, (1, g.inner), (1,), needs)
    return _rounded((dx, dweight, dbias), x)


@quiet
def group_norm_forward(
    g: GroupNorm, x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """y, mean (n, groups), rstd (n, groups); weight and bias (groups * channels,)."""
    x4 = x.reshape(g)
    mean, _, rstd = _moments(x4, (2, 3), eps)
    y = _affine(_standardised(x4, mean, rstd), weight, bias, (1, g.groups, g.channels, 1))
    return y.astype(x.dtype).reshape(x.shape), mean.reshape(g.n, g.groups), rstd.reshape(g.n, g.groups)


@quiet
def group_norm_backward(
    g: GroupNorm, dy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: tuple[bool, ...]
) -> Gradients:
    """y = (x - mean) * rstd * weight + bias, where mean and rstd depend on the sample's group."""
    mean4, rstd4 = (v.astype(np.float64).reshape(g.n, g.groups, 1, 1) for v in (mean, rstd))
    xhat = _standardised(x.reshape(g), mean4, rstd4)
    affine = (1, g.groups, g.channels, 1)
    return _rounded(_gradients(dy.reshape(g), xhat, rstd4, weight, affine, (2, 3), needs), x)
