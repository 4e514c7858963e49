"""The checks of convolution, pooling, linear and elementwise operations: arguments in, (geometry and) clean arrays out."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from . import scalars
from .arrays import Array, Shape, array, beside, dense, limited, operand, optional, shape_of, shown
from .geometry import (
    AdaptivePool,
    Conv,
    Pool,
    adaptive_geometry,
    conv_geometry,
    conv_transpose_geometry,
    pool_geometry,
    require_rank,
)

Needs = tuple[bool, bool, bool]


def _conv_geometry(
    op: str, rank: int, x: Shape, weight: Shape, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Conv:
    return conv_geometry(
        op,
        rank,
        x,
        weight,
        scalars.per_axis(op, "stride", stride, rank),
        scalars.padding(op, padding, rank),
        scalars.per_axis(op, "dilation", dilation, rank),
        groups if type(groups) is int else scalars.integer(op, "groups", groups),
    )


def conv_output_shape(
    op: str, x_shape: Any, weight_shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Shape:
    """What ``conv{rank}d`` gives for these shapes, the rank following from that of x."""
    x, rank = _windowed(op, x_shape)
    g = _conv_geometry(op, rank, x, shape_of(op, "weight_shape", weight_shape), stride, padding, dilation, groups)
    return (g.n, g.k, *g.out[3 - rank :])


def _windowed(op: str, x_shape: Any) -> tuple[Shape, int]:
    """The shape of x, and how many spatial axes it has."""
    x = shape_of(op, "x_shape", x_shape)
    if not 3 <= len(x) <= 5:
        raise ValueError(f"{op}: x_shape must have 3 to 5 axes (n, c, one to three spatial ones), got {shown(x)}")
    return x, len(x) - 2


def conv(
    op: str, rank: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[Conv, Array, Array, Array | None]:
    """Of ``conv{rank}d``."""
    x = array(op, "x", x)
    weight = operand(op, "weight", weight, x.dtype)
    g = _conv_geometry(op, rank, x.shape, weight.shape, stride, padding, dilation, groups)
    return g, x, weight, _bias(op, bias, x, g.k)


def _bias(op: str, value: Any, x: Array, channels: int) -> Array | None:
    """The bias of a convolution. Other libraries have stride and padding in its place: the error says where these go here."""
    whole = (int, np.integer)
    if isinstance(value, (*whole, float, np.floating)) or (
        isinstance(value, (tuple, list)) and all(isinstance(v, whole) for v in value)
    ):
        raise TypeError(
            f"{op}: bias must be an array of shape ({channels},) or None, got {shown(value)}; stride and padding come "
            f"behind it or by name: {op}(x, weight, stride=..., padding=...)"
        )
    return optional(op, "bias", value, x.dtype, (channels,))


def conv_backward(
    op: str, rank: int, dy: Any, x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: Any, needs: Any
) -> tuple[Conv, Array, Array, Array, Needs]:
    """Of ``conv{rank}d_backward``."""
    g, x, weight, _ = conv(op, rank, x, weight, None, stride, padding, dilation, groups)
    return g, operand(op, "dy", dy, x.dtype, (g.n, g.k, *g.out[3 - rank :])), x, weight, scalars.needs(op, needs)


def _transposed_geometry(
    op: str,
    rank: int,
    x: Shape,
    weight: Shape,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> Conv:
    if isinstance(padding, str):
        raise TypeError(f"{op}: padding must be an int, or an int or a pair (low, high) per axis, got {shown(padding)}")
    return conv_transpose_geometry(
        op,
        rank,
        x,
        weight,
        scalars.per_axis(op, "stride", stride, rank),
        scalars.padding(op, padding, rank),
        scalars.per_axis(op, "output_padding", output_padding, rank, 0),
        groups if type(groups) is int else scalars.integer(op, "groups", groups),
        scalars.per_axis(op, "dilation", dilation, rank),
    )


def conv_transpose_output_shape(op: str, x_shape: Any, weight_shape: Any, *geometry: Any) -> Shape:
    """What ``conv_transpose{rank}d`` gives for these shapes, the rank following from that of x."""
    x, rank = _windowed(op, x_shape)
    g = _transposed_geometry(op, rank, x, shape_of(op, "weight_shape", weight_shape), *geometry)
    return (g.n, g.c, *g.size[3 - rank :])


def conv_transpose(
    op: str,
    rank: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> tuple[Conv, Array, Array, Array | None]:
    """Of ``conv_transpose{rank}d``."""
    x = array(op, "x", x)
    weight = operand(op, "weight", weight, x.dtype)
    g = _transposed_geometry(op, rank, x.shape, weight.shape, stride, padding, output_padding, groups, dilation)
    return g, x, weight, _bias(op, bias, x, g.c)


def conv_transpose_backward(
    op: str,
    rank: int,
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    needs: Any,
) -> tuple[Conv, Array, Array, Array, Needs]:
    """Of ``conv_transpose{rank}d_backward``."""
    g, x, weight, _ = conv_transpose(
        op, rank, x, weight, None, stride, padding, output_padding, groups, dilation
    )  # fmt: skip
    return g, operand(op, "dy", dy, x.dtype, (g.n, g.c, *g.size[3 - rank :])), x, weight, scalars.needs(op, needs)


def _pool_geometry(
    op: str, rank: int, shape: Shape, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> Pool:
    kernel_size = scalars.per_axis(op, "kernel_size", kernel_size, rank)
    return pool_geometry(
        op,
        rank,
        shape,
        kernel_size,
        kernel_size if stride is None else scalars.per_axis(op, "stride", stride, rank),
        scalars.padding(op, padding, rank),
        scalars.per_axis(op, "dilation", dilation, rank),
        ceil_mode if type(ceil_mode) is bool else scalars.flag(op, "ceil_mode", ceil_mode),
    )


def pool_output_shape(op: str, x_shape: Any, *geometry: Any) -> Shape:
    """What ``{max,avg,lp}_pool{rank}d`` give for this shape, from which the rank follows."""
    x, rank = _windowed(op, x_shape)
    g = _pool_geometry(op, rank, x, *geometry)
    return (g.n, g.c, *g.out[3 - rank :])


def pool(
    op: str, rank: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> tuple[Pool, Array]:
    """Of ``{max,avg,lp}_pool{rank}d``."""
    x = array(op, "x", x)
    return _pool_geometry(op, rank, x.shape, kernel_size, stride, padding, dilation, ceil_mode), x


def pool_backward(
    op: str, rank: int, dy: Any, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> tuple[Pool, Array]:
    """Of ``{max,avg,lp}_pool{rank}d_backward``, where ``x`` is the input or only its shape."""
    dy = array(op, "dy", dy)
    shape = shape_of(op, "x", x)
    g = _pool_geometry(op, rank, shape, kernel_size, stride, padding, dilation, ceil_mode)
    return g, operand(op, "dy", dy, dy.dtype, (g.n, g.c, *g.out[3 - rank :]))


def pool_divisor(op: str, count_include_pad: Any, divisor_override: Any) -> tuple[bool, int | None]:
    """Of ``avg_pool{rank}d``: whether padding counts, and the number that stands for what windows count."""
    include = scalars.flag(op, "count_include_pad", count_include_pad)
    if divisor_override is None:
        return include, None
    return include, scalars.integer(op, "divisor_override", divisor_override, 1)


def adaptive_pool(op: str, rank: int, x: Any, output_size: Any) -> tuple[AdaptivePool, Array]:
    """Of ``adaptive_{avg,max}_pool{rank}d``."""
    x = array(op, "x", x)
    return adaptive_geometry(op, rank, x.shape, adaptive_output_size(op, rank, output_size)), x


def adaptive_pool_backward(op: str, rank: int, dy: Any, x: Any, output_size: Any) -> tuple[AdaptivePool, Array]:
    """Of ``adaptive_{avg,max}_pool{rank}d_backward``, where ``x`` is the input or only its shape."""
    dy = array(op, "dy", dy)
    g = adaptive_geometry(op, rank, shape_of(op, "x", x), adaptive_output_size(op, rank, output_size))
    return g, operand(op, "dy", dy, dy.dtype, (g.n, g.c, *g.out[3 - rank :]))


def adaptive_output_size(op: str, rank: int, value: Any) -> tuple[int | None, ...]:
    """An extent per axis, where one stands for all; None is that of the input."""
    if not isinstance(value, (tuple, list)):
        value = (value,) * rank
    if len(value) != rank:
        raise ValueError(f"{op}: output_size must be an int or a tuple of {rank} ints or None, got {shown(value)}")
    return tuple(None if v is None else scalars.integer(op, "output_size", v, 1) for v in value)


def linear(op: str, x: Any, weight: Any, bias: Any) -> tuple[Array, Array, Array | None]:
    """Of ``linear``: x (..., k), weight (n, k), bias (n,)."""
    x = array(op, "x", x)
    weight = operand(op, "weight", weight, x.dtype)
    shape, size = x.shape, weight.shape
    if len(size) != 2:
        require_rank(op, "weight", size, ("out", "in"))
    if not shape or shape[-1] != size[1]:
        raise ValueError(f"{op}: x of shape {shape} does not fit weight of shape {size} (out, in)")
    if not weight.size:
        raise ValueError(f"{op}: weight must not be empty, got shape {size}")
    # Otherwise the result is small enough: most calls are spared the product of its extents.
    if x.size * size[0] > 2**31 or not x.size:
        limited(op, "the result", *shape[:-1], size[0])
    return x, weight, None if bias is None else operand(op, "bias", bias, x.dtype, size[:1])


def linear_backward(op: str, dy: Any, x: Any, weight: Any, needs: Any) -> tuple[Array, Array, Array, Needs]:
    """Of ``linear_backward``: dy (..., n), x (..., k), weight (n, k)."""
    x, weight, _ = linear(op, x, weight, None)
    return operand(op, "dy", dy, x.dtype, (*x.shape[:-1], weight.shape[0])), x, weight, scalars.needs(op, needs)


def matmul(op: str, a: Any, b: Any) -> tuple[Array, Array, Shape]:
    """Of ``matmul``: at least one axis each, equal inner extents, batch axes that broadcast. Also these, broadcast.

    NumPy's ``broadcast_shapes`` takes no more than 32 of them.
    """
    a = array(op, "a", a)
    b = operand(op, "b", b, a.dtype, first="a")
    if a.ndim < 1 or b.ndim < 1:
        raise ValueError(f"{op}: a and b must have at least one axis, got shapes {a.shape} and {b.shape}")
    if a.shape[-1] != (b.shape[-2] if b.ndim > 1 else b.shape[0]):
        raise ValueError(f"{op}: the inner extents of a {a.shape} and b {b.shape} differ")
    batch = list(itertools.zip_longest(a.shape[-3::-1], b.shape[-3::-1], fillvalue=1))
    if any(p != q and 1 not in (p, q) for p, q in batch):
        raise ValueError(f"{op}: the batch axes of a {a.shape} and b {b.shape} do not broadcast")
    repeated = tuple(q if p == 1 else p for p, q in reversed(batch))
    limited(op, "the result", *repeated, *a.shape[-2:-1], *b.shape[-1:])
    for shape in (a.shape, b.shape):
        limited(op, "an operand, broadcast", *repeated, *shape[-2:])
    return a, b, repeated


def matmul_backward(op: str, dy: Any, a: Any, b: Any) -> tuple[Array, Array, Array, Shape]:
    """Of ``matmul_backward``: dy of the shape of the product, and what `matmul` gives."""
    a, b, batch = matmul(op, a, b)
    columns = b.shape[-1:] if b.ndim > 1 else ()
    return operand(op, "dy", dy, a.dtype, (*batch, *a.shape[-2:-1], *columns), "a"), a, b, batch


def elementwise_backward(op: str, name: str, dy: Any, other: Any) -> tuple[Array, Array]:
    """dy and the saved array of an elementwise operation: equal shapes, dtypes and orders of axes."""
    other = dense(op, name, other)
    dy = operand(op, "dy", dy, other.dtype, other.shape, name, dense)
    return dy, beside(other, dy)


def add(op: str, a: Any, b: Any) -> tuple[Array, Array]:
    """Of ``add``: equal shapes, dtypes and orders of axes."""
    a = dense(op, "a", a)
    return a, beside(operand(op, "b", b, a.dtype, a.shape, "a", dense), a)
