"""The checks of functions that exchange channels and pixels."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from . import scalars
from .arrays import Array, Shape, array, limited


class Pixels(NamedTuple):
    """``planes`` images of ``height * factor`` by ``width * factor`` pixels, or of ``factor**2`` channels with fewer."""

    planes: int
    factor: int
    height: int
    width: int
    coarse: Shape
    fine: Shape


def pixel_shuffle(op: str, name: str, x: Any, factor: Any) -> tuple[Array, Pixels]:
    """Of pixel_shuffle: x (..., channels * factor**2, height, width)."""
    x, factor = _image(op, name, x, factor)
    *lead, channels, height, width = x.shape
    if channels % factor**2:
        raise ValueError(
            f"{op}: {name}={factor}, squared, must divide the {channels} channels of an image of shape {x.shape}"
        )
    fine = (*lead, channels // factor**2, height * factor, width * factor)
    limited(op, "the result", *fine)
    return x, Pixels(math.prod(fine[:-2]), factor, height, width, x.shape, fine)


def pixel_unshuffle(op: str, name: str, y: Any, factor: Any) -> tuple[Array, Pixels]:
    """Of pixel_unshuffle: y (..., channels, height * factor, width * factor)."""
    y, factor = _image(op, name, y, factor)
    *lead, channels, tall, wide = y.shape
    if tall % factor or wide % factor:
        raise ValueError(f"{op}: {name}={factor} must divide height and width of an image of shape {y.shape}")
    coarse = (*lead, channels * factor**2, tall // factor, wide // factor)
    limited(op, "the result", *coarse)
    return y, Pixels(math.prod(y.shape[:-2]), factor, tall // factor, wide // factor, coarse, y.shape)


def _image(op: str, name: str, x: Any, factor: Any) -> tuple[Array, int]:
    argument = "dy" if op.endswith("_backward") else "x"
    x = array(op, argument, x)
    if x.ndim < 3:
        raise ValueError(
            f"{op}: {argument} must have at least 3 axes (..., channels, height, width), got shape {x.shape}"
        )
    return x, scalars.integer(op, name, factor, 1)
