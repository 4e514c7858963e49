"""Fully connected layers, products, convolutions and their transposes."""

from __future__ import annotations

from typing import Any

from .graph_writer import Graph, Name
from .trace import Step
from .write_table import writes


@writes("linear")
def _linear(g: Graph, step: Step, x: Any, weight: Any, bias: Any) -> Name:
    if len(x.shape) == 2:
        return g.node("Gemm", x, weight, bias, transB=1)
    y = g.node("MatMul", x, g.node("Transpose", weight, perm=[1, 0]))
    return y if bias is None else g.node("Add", y, bias)


@writes("matmul")
def _matmul(g: Graph, step: Step, a: Any, b: Any) -> Name:
    return g.node("MatMul", a, b)


@writes("conv1d", "conv2d", "conv3d")
def _conv(g: Graph, step: Step, x: Any, weight: Any, bias: Any, *settings: Any) -> Name:
    geometry, rank = step.geometry, len(x.shape) - 2
    pads = sides(geometry, rank)
    return g.node("Conv", x, weight, bias, group=geometry.groups, pads=pads, **window(geometry, rank))


@writes("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(g: Graph, step: Step, x: Any, weight: Any, bias: Any, *settings: Any) -> Name:
    """The geometry is that of the convolution from the output to x."""
    geometry, rank = step.geometry, len(x.shape) - 2
    high = [_behind(geometry, i) for i in range(3 - rank, 3)]
    pads = [*geometry.pad[3 - rank :], *(max(n, 0) for n in high)]
    extra = [max(-n, 0) for n in high]
    places = {"group": geometry.groups, "pads": pads, **window(geometry, rank)}
    if all(n < stride for n, stride in zip(extra, places["strides"], strict=True)):
        return g.node("ConvTranspose", x, weight, bias, output_padding=extra, **places)
    # Runtimes refuse a longer output padding. Nothing but the bias comes to lie there.
    y = g.node("Pad", g.node("ConvTranspose", x, weight, **places), g.ints(*[0] * (rank + 4), *extra), mode="constant")
    return y if bias is None else g.node("Add", y, g.reshape(bias, [bias.shape[0]] + [1] * rank))


def window(geometry: Any, rank: int) -> dict[str, list[int]]:
    """The attributes of a window that slides over ``rank`` axes."""
    last = slice(3 - rank, 3)
    # Of a stride that steps over nothing the geometry has 1; there it must be so long that no second window fits.
    axes = zip(geometry.stride, geometry.out, geometry.size, geometry.pad, strict=True)
    strides = [s if out > 1 else 1 + size + pad for s, out, size, pad in axes]
    return {
        "kernel_shape": list(geometry.kernel[last]),
        "strides": strides[last],
        "dilations": list(geometry.dilation[last]),
    }


def _behind(geometry: Any, axis: int) -> int:
    """How far the last window reaches beyond the end of an axis; negative where it ends before."""
    g = geometry
    reach = (g.out[axis] - 1) * g.stride[axis] + g.dilation[axis] * (g.kernel[axis] - 1) + 1
    size: int = g.size[axis]
    return int(reach - g.pad[axis] - size)


def sides(geometry: Any, rank: int) -> list[int]:
    """The padding that the windows reach into: low sides, then high ones."""
    axes = range(3 - rank, 3)
    return [*geometry.pad[3 - rank :], *(max(_behind(geometry, i), 0) for i in axes)]
