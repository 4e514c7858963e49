"""Convolution: y[n, k, o] = bias[k] + sum over c and taps t of weight[k, c, t] * x[n, c, o * stride - pad + t * dilation].

x (n, c, *size), weight (k, c // groups, *kernel), bias (k,), y (n, k, *out). Elements outside x are zeros.
Below, x and y are seen with their channels split into (groups, channels of the group), and one tap of the
window is one matrix product.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...checks import Conv
from ._common import LONG_SUM, Array, Index, product, quiet


@quiet
def conv_forward(g: Conv, x: Array, weight: Array, bias: Array | None) -> Array:
    """y (n, k, *out)."""
    xp, w = _padded(g, x), _grouped(g, weight)
    y = np.zeros((g.n, g.groups, g.k // g.groups, *g.out), _sum_type(g, x))
    for tap, at in _taps(g):
        y += _product(w[tap], xp[at])
    y = y.astype(x.dtype, copy=False).reshape(g.n, g.k, *g.out[5 - x.ndim :])
    return _add_bias(y, bias)


@quiet
def conv_backward(
    g: Conv, dy: Array, x: Array, weight: Array, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None, Array | None]:
    """dx, dweight, dbias."""
    dy5 = dy.reshape(g.n, g.groups, g.k // g.groups, *g.out)
    return (
        _backward_data(g, dy5, weight).reshape(x.shape) if needs[0] else None,
        _backward_weight(g, dy5, x, weight) if needs[1] else None,
        _backward_bias(dy) if needs[2] else None,
    )


@quiet
def conv_transpose_forward(g: Conv, x: Array, weight: Array, bias: Array | None) -> Array:
    """y[n, c, o * stride - pad + t * dilation] += weight[k, c, t] * x[n, k, o], and bias[c].

    g is the geometry of the convolution whose data gradient this is: x (n, k, *out), y (n, c, *size).
    """
    y = _backward_data(g, x.reshape(g.n, g.groups, g.k // g.groups, *g.out), weight)
    return _add_bias(y.reshape(g.n, g.c, *g.size[5 - x.ndim :]), bias)


@quiet
def conv_transpose_backward(
    g: Conv, dy: Array, x: Array, weight: Array, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None, Array | None]:
    """dx, dweight, dbias: y is linear in x with the transposed matrix of a convolution, whose own one gives dx."""
    x5 = x.reshape(g.n, g.groups, g.k // g.groups, *g.out)
    return (
        conv_forward(g, dy, weight, None) if needs[0] else None,
        _backward_weight(g, x5, dy, weight) if needs[1] else None,
        _backward_bias(dy) if needs[2] else None,
    )


def _add_bias(y: Array, bias: Array | None) -> Array:
    if bias is not None:
        y += bias.reshape(-1, *(1,) * (y.ndim - 2))
    return y


def _backward_bias(dy: Array) -> Array:
    """y = bias[k] + …, hence dbias[k] = sum of dy over all but the channels."""
    return np.asarray(dy.sum(axis=(0, *range(2, dy.ndim)), dtype=np.float64), dy.dtype)


def _backward_data(g: Conv, dy: Array, weight: Array) -> Array:
    """y += w[tap] @ xp[at], hence dxp[at] += w[tap]^T @ dy."""
    w = _grouped(g, weight).swapaxes(1, 2)
    dxp = np.zeros((g.n, g.groups, g.c // g.groups, *_padded_size(g)), _sum_type(g, dy))
    for tap, at in _taps(g):
        dxp[at] += _product(w[tap], dy)
    return dxp[_inside(g)].astype(dy.dtype)


def _backward_weight(g: Conv, dy: Array, x: Array, weight: Array) -> Array:
    """y += w[tap] @ xp[at], hence dw[tap] = sum over n of dy @ xp[at]^T."""
    xp = _padded(g, x)
    dw: Array = np.zeros((g.groups, g.k // g.groups, g.c // g.groups, *g.kernel), x.dtype)
    rows = dy.reshape(g.n, g.groups, g.k // g.groups, math.prod(g.out))
    for tap, at in _taps(g):
        columns = xp[at].reshape(g.n, g.groups, g.c // g.groups, math.prod(g.out))
        dw[tap] = product(rows, columns.swapaxes(2, 3)).sum(axis=0, dtype=np.float64)
    return dw.reshape(weight.shape)


def _product(w: Array, x: Array) -> Array:
    """(groups, a, b) @ (n, groups, b, *space) -> (n, groups, a, *space)."""
    n, groups, b, *space = x.shape
    return product(w, x.reshape(n, groups, b, math.prod(space))).reshape(n, groups, w.shape[1], *space)


def _sum_type(g: Conv, x: Array) -> type | np.dtype[Any]:
    """The type in which taps are added."""
    return np.float64 if math.prod(g.kernel) > LONG_SUM else x.dtype


def _grouped(g: Conv, weight: Array) -> Array:
    return weight.reshape(g.groups, g.k // g.groups, g.c // g.groups, *g.kernel)


def _padded_size(g: Conv) -> tuple[int, ...]:
    """The extent that the windows reach, but at least the image with its low padding."""
    return tuple(
        max((out - 1) * stride + (kernel - 1) * dilation + 1, pad + size)
        for out, stride, kernel, dilation, pad, size in zip(
            g.out, g.stride, g.kernel, g.dilation, g.pad, g.size, strict=True
        )
    )


def _inside(g: Conv) -> Index:
    """Where the image lies in the padded one."""
    return (..., *(slice(pad, pad + size) for pad, size in zip(g.pad, g.size, strict=True)))


def _padded(g: Conv, x: Array) -> Array:
    """x as (n, groups, c // groups, *padded size), zero outside."""
    xp: Array = np.zeros((g.n, g.c, *_padded_size(g)), x.dtype)
    xp[_inside(g)] = x.reshape(g.n, g.c, *g.size)
    return xp.reshape(g.n, g.groups, g.c // g.groups, *xp.shape[2:])


def _taps(g: Conv) -> Iterator[tuple[Index, Index]]:
    """For each tap, the indices of its weights and of the elements of the padded image that it meets, one per output."""
    for tap in itertools.product(*map(range, g.kernel)):
        at = (
            slice(t * dilation, t * dilation + (out - 1) * stride + 1, stride)
            for t, out, stride, dilation in zip(tap, g.out, g.stride, g.dilation, strict=True)
        )
        yield (..., *tap), (..., *at)
