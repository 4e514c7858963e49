"""ONNX's GridSample: images at places that a tensor gives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import ops as tape
from ..autograd import raw, shaping
from .read_table import op, text

_MODES = {"linear": "linear", "bilinear": "linear", "nearest": "nearest", "cubic": "cubic", "bicubic": "cubic"}
_A = -0.75  # of the cubic filter


@op("GridSample")
def _grid_sample(
    x: Any, grid: Any, /, *, run: Any, align_corners: int = 0, mode: Any = "linear", padding_mode: Any = "zeros"
) -> Any:
    axes, kind, border = x.ndim - 2, _MODES.get(text(mode)), text(padding_mode)
    if kind is None or border not in ("zeros", "border", "reflection"):
        raise ValueError(f"mode {text(mode)!r} with padding_mode {border!r} is not supported")
    if axes < 1 or grid.ndim != axes + 2 or grid.shape[-1] != axes or grid.shape[0] != x.shape[0] or 0 in x.shape[2:]:
        raise ValueError(f"grid of shape {grid.shape} for an input of shape {x.shape}")
    run.room((*grid.shape[:-1], x.shape[1]), raw(x).dtype)
    taps = []
    for axis, extent in enumerate(x.shape[2:]):
        place = tape.add(grid[..., axes - 1 - axis], 1.0)  # the last number is the place along the first axis
        place = (
            tape.multiply(place, (extent - 1) / 2)
            if align_corners
            else tape.add(tape.multiply(place, extent / 2), -0.5)
        )
        taps.append(_taps(place, extent, kind, border, bool(align_corners)))
    first = np.arange(x.shape[0]).reshape(-1, *(1,) * axes)
    total: Any = 0.0
    for choice in itertools.product(*taps):
        value = shaping.getitem(x, (first, slice(None), *(index for index, _ in choice)))  # (batch, *places, channels)
        for _, weight in choice:
            value = tape.multiply(value, shaping.expand_dims(weight, -1))
        total = tape.add(value, total)
    return shaping.transpose(total, (0, axes + 1, *range(1, axes + 1)))


def _taps(place: Any, extent: int, kind: str, border: str, corners: bool) -> list[tuple[np.ndarray, Any]]:
    """The elements along one axis that count at each place, and their weights; outside an image of zeros they weigh nothing."""
    place = place if kind == "cubic" or border == "zeros" else _inside(place, extent, border, corners)
    if kind == "nearest":
        return [_tap(np.rint(raw(place)), np.ones(place.shape, raw(place).dtype), extent, border, corners)]
    low = np.floor(raw(place))
    share = tape.subtract(place, low)
    if kind == "linear":
        pairs: Sequence[tuple[int, Any]] = ((0, tape.subtract(1.0, share)), (1, share))
    else:
        pairs = [(i, _cubic(tape.subtract(share, float(i)), i in (0, 1))) for i in (-1, 0, 1, 2)]
    return [_tap(low + i, weight, extent, border, corners) for i, weight in pairs]


def _tap(index: np.ndarray, weight: Any, extent: int, border: str, corners: bool) -> tuple[np.ndarray, Any]:
    if border == "zeros":
        weight = tape.multiply(weight, ((index >= 0) & (index < extent)).astype(raw(weight).dtype))
    elif border == "reflection":
        index = raw(_inside(index, extent, border, corners))
    return np.clip(np.nan_to_num(index), 0, extent - 1).astype(np.int64), weight


def _inside(place: Any, extent: int, border: str, corners: bool) -> Any:
    """Places moved to the nearest one of the image, or mirrored at its edges: the middle of outer elements, or their outer sides."""
    if border == "reflection":
        low, length = (0.0, extent - 1.0) if corners else (-0.5, float(extent))
        if length == 0:
            return tape.multiply(place, 0.0)
        distance = abs(tape.subtract(place, low))
        turns = np.floor(raw(distance) / length)
        rest = tape.subtract(distance, turns * length)
        odd = turns % 2
        place = tape.add(tape.add(tape.multiply(rest, 1 - 2 * odd), odd * length), low)
    return tape.clip(place, 0.0, extent - 1.0)


def _cubic(distance: Any, near: bool) -> Any:
    """The weight of a tap at a distance: |d| < 1, or 1 <= |d| < 2. Keys, "Cubic Convolution Interpolation" (1981)."""
    d = abs(distance)
    coefficients = (_A + 2, -(_A + 3), 0.0, 1.0) if near else (_A, -5 * _A, 8 * _A, -4 * _A)
    total: Any = coefficients[0]
    for c in coefficients[1:]:
        total = tape.add(tape.multiply(d, total), c)
    return total
