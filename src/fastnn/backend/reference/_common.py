"""What the reference kernels share: quiet floating point and the taps of a window."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...checks import Conv, Pool

Array = np.ndarray[Any, Any]
Slices = tuple[slice, slice, slice]

# Overflow, inf - inf and 0 / 0 are legal and give inf and NaN, as in the compiled kernels.
quiet = np.errstate(all="ignore")


def windows(g: Conv | Pool) -> Iterator[tuple[int, Slices, Slices]]:
    """For each tap of the window: its number, the outputs for which it lies inside the image, the inputs it meets.

    Tap number ``(kd * KH + kh) * KW + kw`` of output ``o`` meets input ``o * stride - pad + k * dilation``. Both
    slices of a tap have the same shape, and no input occurs twice in one slice.
    """
    taps = [
        [
            (k, *_inside(size, out, stride, k * dilation - pad))
            for k in range(kernel)
        ]
        for size, out, kernel, stride, pad, dilation in zip(
            g.size, g.out, g.kernel, g.stride, g.pad, g.dilation, strict=True
        )
    ]  # fmt: skip
    for (kd, od, id_), (kh, oh, ih), (kw, ow, iw) in itertools.product(*taps):
        if od.stop > od.start and oh.stop > oh.start and ow.stop > ow.start:
            yield (kd * g.kernel[1] + kh) * g.kernel[2] + kw, (od, oh, ow), (id_, ih, iw)


def _inside(size: int, out: int, stride: int, offset: int) -> tuple[slice, slice]:
    """Outputs o with 0 <= o * stride + offset < size, and those inputs."""
    first = max(0, -(offset // stride))
    last = min(out, -((offset - size) // stride))
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)
