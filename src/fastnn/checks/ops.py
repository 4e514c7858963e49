"""The checks of convolution, pooling, linear and elementwise operations: arguments in, (geometry and) clean arrays out."""

from __future__ import annotations

import itertools
from typing import Any

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


def conv(
    op: str, rank: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[Conv, Array, Array, Array | None]:
    """Of ``conv{rank}d``."""
    x = array(op, "x", x)
    weight = operand(op, "weight", weight, x.dtype)
    g = conv_geometry(
        op,
        rank,
        x.shape,
        weight.shape,
        scalars.per_axis(op, "stride", stride, rank),
        scalars.padding(op, padding, rank),
        scalars.per_axis(op, "dilation", dilation, rank),
        groups if type(groups) is int else scalars.integer(op, "groups", groups),
    )
    return g, x, weight, optional(op, "bias", bias, x.dtype, (g.k,))


def conv_backward(
    op: str, rank: int, dy: Any, x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[Conv, Array, Array, Array]:
    """Of ``conv{rank}d_backward``."""
    g, x, weight, _ = conv(op, rank, x, weight, None, stride, padding, dilation, groups)
    return g, operand(op, "dy", dy, x.dtype, (g.n, g.k, *g.out[3 - rank :])), x, weight


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
    if isinstance(padding, str):
        raise TypeError(f"{op}: padding must be an int, or an int or a pair (low, high) per axis, got {shown(padding)}")
    g = conv_transpose_geometry(
        op,
        rank,
        x.shape,
        weight.shape,
        scalars.per_axis(op, "stride", stride, rank),
        scalars.padding(op, padding, rank),
        scalars.per_axis(op, "output_padding", output_padding, rank, 0),
        groups if type(groups) is int else scalars.integer(op, "groups", groups),
        scalars.per_axis(op, "dilation", dilation, rank),
    )
    return g, x, weight, optional(op, "bias", bias, x.dtype, (g.c,))


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
) -> tuple[Conv, Array, Array, Array]:
    """Of ``conv_transpose{rank}d_backward``."""
    g, x, weight, _ = conv_transpose(
        op, rank, x, weight, None, stride, padding, output_padding, groups, dilation
    )  # fmt: skip
    return g, operand(op, "dy", dy, x.dtype, (g.n, g.c, *g.size[3 - rank :])), x, weight


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
    return adaptive_geometry(op, rank, x.shape, _output_size(op, rank, output_size)), x


def adaptive_pool_backward(op: str, rank: int, dy: Any, x: Any, output_size: Any) -> tuple[AdaptivePool, Array]:
    """Of ``adaptive_{avg,max}_pool{rank}d_backward``, where ``x`` is the input or only its shape."""
    dy = array(op, "dy", dy)
    g = adaptive_geometry(op, rank, shape_of(op, "x", x), _output_size(op, rank, output_size))
    return g, operand(op, "dy", dy, dy.dtype, (g.n, g.c, *g.out[3 - rank :]))


def _output_size(op: str, rank: int, value: Any) -> tuple[int | None, ...]:
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
    if x.size * size[0] > 2**31 or not x.size:  # else the result is not too large: most calls are spared the product
        limited(op, "the result", *shape[:-1], size[0])
    return x, weight, None if bias is None else operand(op, "bias", bias, x.dtype, size[:1])


def linear_backward(op: str, dy: Any, x: Any, weight: Any) -> tuple[Array, Array, Array]:
    """Of ``linear_backward``: dy (..., n), x (..., k), weight (n, k)."""
    x, weight, _ = linear(op, x, weight, None)
    return operand(op, "dy", dy, x.dtype, (*x.shape[:-1], weight.shape[0])), x, weight


def matmul(op: str, a: Any, b: Any) -> tuple[Array, Array, Shape]:
    """Of ``matmul``: at least one axis each, equal inner extents, batch axes that broadcast. Also these, broadcast.

    NumPy's ``broadcast_shapes`` takes no more than 32 of them.
    """
    a = array(op, "a", a)
    b = operand(op, "b", b, a.dtype)
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


def elementwise_backward(op: str, name: str, dy: Any, other: Any) -> tuple[Array, Array]:
    """dy and the saved array of an elementwise operation: equal shapes, dtypes and orders of axes."""
    other = dense(op, name, other)
    dy = operand(op, "dy", dy, other.dtype, other.shape, dense)
    return dy, beside(other, dy)


def add(op: str, a: Any, b: Any) -> tuple[Array, Array]:
    """Of ``add``: equal shapes, dtypes and orders of axes."""
    a = dense(op, "a", a)
    return a, beside(operand(op, "b", b, a.dtype, a.shape, dense), a)
