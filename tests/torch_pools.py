"""PyTorch's counterparts of the poolings over windows, for `torch_ops`, and what padding per side is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as tf


def sides_of(padding: Any, size: Any, kernel: Any, stride: Any, dilation: Any) -> list[int]:
    """Padding in the order of `tf.pad`: last axis first, low before high."""
    rank = len(size)
    stride, dilation = (v if isinstance(v, tuple) else (v,) * rank for v in (stride, dilation))
    pads: list[int] = []
    for axis in reversed(range(rank)):
        reach = dilation[axis] * (kernel[axis] - 1)
        if padding == "valid":
            low = high = 0
        elif padding == "full":
            low = high = reach
        elif padding == "same":
            out = -(-size[axis] // stride[axis])
            total = max((out - 1) * stride[axis] + reach + 1 - size[axis], 0)
            low, high = total // 2, total - total // 2
        else:
            side = padding[axis] if isinstance(padding, tuple) else padding
            low, high = side if isinstance(side, tuple) else (side, side)
        pads += [low, high]
    return pads


def by_side(padding: Any) -> bool:
    return isinstance(padding, tuple) and any(isinstance(p, tuple) for p in padding)


def max_pool1d(x: Any, kernel_size: Any, **options: Any) -> Any:
    return tf.max_pool1d(x, kernel_size, **options)


def _pool(pool: Any, fill: float) -> Callable[..., Any]:
    def padded(x: Any, kernel_size: Any, padding: Any = 0, **options: Any) -> Any:
        if by_side(padding):
            x = tf.pad(x, sides_of(padding, x.shape[2:], (1,) * (x.ndim - 2), 1, 1), value=fill)
            padding = 0
        return pool(x, kernel_size, padding=padding, **options)

    return padded


max_pool2d, max_pool3d = _pool(tf.max_pool2d, -np.inf), _pool(tf.max_pool3d, -np.inf)


def _taps_summed(
    x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, include_pad: bool
) -> Any:
    """The sum of each window, axis by axis, and how many elements windows count."""
    counts = torch.ones((), dtype=x.dtype)
    for axis in range(2, x.ndim):
        k, s, p, d = (
            v[axis - 2] if isinstance(v, tuple) else v for v in (kernel_size, stride or kernel_size, padding, dilation)
        )
        (low, high), n = p if isinstance(p, tuple) else (p, p), x.shape[axis]
        room = n + low + high - d * (k - 1) - 1
        out = min(-(-room // s) + 1, (n + low - 1) // s + 1) if ceil_mode else room // s + 1
        at = torch.arange(out)[:, None] * s - low + torch.arange(k) * d
        inside = (at >= 0) & (at < n)
        counted = (at < n + high) if include_pad else inside
        taps = x.index_select(axis, at.clamp(0, n - 1).reshape(-1)).unflatten(axis, (out, k))
        shape = (out, k, *(1,) * (x.ndim - axis - 1))
        x = torch.where(inside.reshape(shape), taps, 0.0).sum(axis + 1)
        counts = counts[..., None] * counted.sum(1)
    return x, counts


def _average(pool: Any) -> Callable[..., Any]:
    """PyTorch's, or where there is dilation, which that has not, the definition."""

    def average(
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        dilation: Any = 1,
    ) -> Any:
        if dilation == 1:
            rest = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
            return pool(x, kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode, **rest)
        sums, counts = _taps_summed(x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
        return sums / (divisor_override or counts)

    return average


avg_pool2d, avg_pool3d = _average(_pool(tf.avg_pool2d, 0.0)), _average(_pool(tf.avg_pool3d, 0.0))


def _of_lines(pool: Any) -> Callable[..., Any]:
    """As of images, whose functions have more arguments."""

    def line(
        x: Any, *args: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, **options: Any
    ) -> Any:
        k, s, p, d = (
            v[0] if isinstance(v, tuple) else v for v in (kernel_size, stride or kernel_size, padding, dilation)
        )
        options |= {"dilation": 1 if d == 1 else (1, d), "padding": (0, p)}
        return pool(x[:, :, None], *args, kernel_size=(1, k), stride=(1, s), **options)[:, :, 0]

    return line


avg_pool1d = _of_lines(avg_pool2d)


def _lp_pool(average: Any) -> Callable[..., Any]:
    def norm(x: Any, norm_type: float, kernel_size: Any, **options: Any) -> Any:
        sums = average(x.abs() ** norm_type, kernel_size, divisor_override=1, **options)
        return torch.where(sums > 0, sums, 1.0) ** (1 / norm_type) * (sums > 0)

    return norm


lp_pool2d, lp_pool3d = _lp_pool(avg_pool2d), _lp_pool(avg_pool3d)
lp_pool1d = _of_lines(lp_pool2d)
