"""The checks of interpolation: PyTorch's and ONNX's arguments become a rule per axis, and the rules tables of taps."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import scalars
from .arrays import Array, Shape, array, limited, operand, shape_of, shown
from .geometry import MAX_EXTENT, Triple, require_image, triple
from .taps import Axis, Rule, Taps, taps, unchanged


class Resample(NamedTuple):
    """x (n, c, *size), y (n, c, *out), one axis after the other; ``fill`` is what outputs without taps are."""

    n: int
    c: int
    size: Triple
    out: Triple
    axes: tuple[Taps, Taps, Taps]
    fill: float


class Interpolation(NamedTuple):
    """Settings of a call; ``scale`` is None for an axis where the sizes say it."""

    rule: Rule | None  # None: windows of adaptive average pooling
    out: tuple[int, ...]
    scale: tuple[float | None, ...]
    keeps_equal: bool  # an axis whose size does not change stays as it is, whatever the scale
    roi: tuple[float, ...]
    fill: float

    def lasting(self, size: Shape) -> bool:
        """Whether tables may be kept with a plan: those of long axes would fill the memory."""
        return sum(size) + sum(self.out) <= 1 << 13


_RANKS = {"bilinear": 2, "bicubic": 2, "trilinear": 3}
_KINDS = {
    "nearest": "nearest", "nearest-exact": "nearest", "linear": "linear", "bilinear": "linear", "trilinear": "linear",
    "cubic": "cubic", "bicubic": "cubic", "area": "area",
}  # fmt: skip
_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
)  # fmt: skip
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _one_of(op: str, name: str, value: Any, choices: Any) -> str:
    if not isinstance(value, str) or value not in choices:
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{op}: {name} must be one of {', '.join(map(repr, choices))}, got {shown(value)}")
    return value


def interpolation(
    op: str,
    x: Shape,
    like: Array | None,
    size: Any,
    scale_factor: Any,
    mode: Any,
    align_corners: Any,
    recompute_scale_factor: Any,
    antialias: Any = False,
    coordinates: Any = None,
    nearest_mode: Any = None,
    cubic_coeff_a: Any = None,
    exclude_outside: Any = False,
    roi: Any = None,
    extrapolation_value: Any = 0.0,
) -> Interpolation:
    """Of ``interpolate`` and its gradient, for images of shape x; numbers must be ones that the array ``like`` holds."""
    kind = _KINDS[_one_of(op, "mode", mode, _KINDS)]
    rank = len(x) - 2
    if _RANKS.get(mode, rank) != rank:
        raise ValueError(f"{op}: mode {mode!r} is for {_RANKS[mode]} spatial axes, got x of shape {x}")
    antialias, exclude = scalars.flag(op, "antialias", antialias), scalars.flag(op, "exclude_outside", exclude_outside)
    if antialias and kind not in ("linear", "cubic"):
        raise ValueError(f"{op}: antialias is for linear and cubic modes, got mode {mode!r}")
    fill = scalars.coefficient(op, "extrapolation_value", extrapolation_value, like)
    coefficient = -0.5 if antialias and coordinates is None else -0.75
    if cubic_coeff_a is not None:
        coefficient = scalars.coefficient(op, "cubic_coeff_a", cubic_coeff_a, like)
    corners = _corners(op, mode, kind, align_corners, coordinates)
    where, rounding = _found(op, mode, kind, coordinates, nearest_mode)
    out, scale = _sizes(op, x[2:], size, scale_factor, recompute_scale_factor, coordinates)
    if corners:
        where, scale = ("half_pixel", _corner_scales(x[2:], out)) if antialias else ("align_corners", (None,) * rank)
    exclude = exclude or (antialias and coordinates is None)
    rule = None if kind == "area" else Rule(kind, where, rounding, coefficient, exclude, antialias)
    keeps = coordinates is None and (kind == "linear" or antialias)
    return Interpolation(rule, out, scale, keeps, _roi(op, roi, rank, where), fill)


def upsampling(
    op: str, size: Any, scale_factor: Any, mode: Any, align_corners: Any, recompute_scale_factor: Any
) -> None:
    """Of ``Upsample``, before there are images: settings that fit some are taken."""
    _one_of(op, "mode", mode, _KINDS)
    axes = [len(v) for v in (size, scale_factor) if isinstance(v, (tuple, list))]
    rank = _RANKS.get(mode, axes[0] if axes and 1 <= axes[0] <= 3 else 1)
    scales = () if scale_factor is None else _scales(op, scale_factor, rank)
    extent = 1 + math.ceil(1 / max(min((*scales, 1.0)), 1 / MAX_EXTENT))
    interpolation(op, (1, 1, *(extent,) * rank), None, size, scale_factor, mode, align_corners, recompute_scale_factor)


def _corners(op: str, mode: str, kind: str, align_corners: Any, coordinates: Any) -> bool:
    if align_corners is None:
        return False
    if kind not in ("linear", "cubic"):
        raise ValueError(
            f"{op}: align_corners is for linear and cubic modes, got {shown(align_corners)} with mode {mode!r}"
        )
    if coordinates is not None:
        raise ValueError(f"{op}: align_corners must be None where coordinates are given, got {shown(align_corners)}")
    return scalars.flag(op, "align_corners", align_corners)


def _found(op: str, mode: str, kind: str, coordinates: Any, nearest_mode: Any) -> tuple[str, str]:
    """The rule of coordinates, and how nearest neighbours are rounded."""
    if nearest_mode is not None:
        _one_of(op, "nearest_mode", nearest_mode, _NEAREST)
        if coordinates is None or mode != "nearest":
            raise ValueError(f"{op}: nearest_mode is for mode 'nearest' with coordinates, got {nearest_mode!r}")
    if coordinates is None:
        pytorch = "pytorch" if kind == "nearest" else "half_pixel"
        return pytorch, "floor" if mode == "nearest" else "round_prefer_ceil"
    _one_of(op, "coordinates", coordinates, _COORDINATES)
    if mode in ("nearest-exact", "area"):
        raise ValueError(f"{op}: mode {mode!r} has coordinates of its own, got {coordinates!r}")
    return coordinates, nearest_mode or "round_prefer_floor"


def _sizes(
    op: str, size: Shape, asked: Any, scale_factor: Any, recompute: Any, coordinates: Any
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Sizes of the output, and the scales that coordinates are computed with."""
    rank = len(size)
    recomputed = recompute is not None and scalars.flag(op, "recompute_scale_factor", recompute)
    if asked is None and scale_factor is None:
        raise ValueError(f"{op}: size or scale_factor must be given")
    scales = None if scale_factor is None else _scales(op, scale_factor, rank)
    if asked is not None and scales is not None and coordinates is None:
        raise ValueError(f"{op}: size and scale_factor can both be given with coordinates alone, got {shown(asked)}")
    if recomputed and (scales is None or asked is not None):
        raise ValueError(f"{op}: recompute_scale_factor needs a scale_factor and no size")
    out = _plain_sizes(op, asked, rank) if asked is not None else _scaled(op, size, scales or ())
    if scales is None or recomputed:
        return out, (None,) * rank
    for n, o, s in zip(size, out, scales, strict=True):
        if abs(o - s * n) >= 1:
            raise ValueError(f"{op}: size {out} does not fit scale_factor {scales} of an image of {size}")
    return out, scales


def _scales(op: str, value: Any, rank: int) -> tuple[float, ...]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(values) != rank:
        raise ValueError(f"{op}: scale_factor must be a number or a tuple of {rank}, got {shown(value)}")
    return tuple(scalars.real(op, "scale_factor", v, 0, open_low=True) for v in values)


def _plain_sizes(op: str, value: Any, rank: int) -> tuple[int, ...]:
    sizes = scalars.per_axis(op, "size", value, rank)
    return (sizes,) * rank if isinstance(sizes, int) else sizes


def _scaled(op: str, size: Shape, scales: tuple[float, ...]) -> tuple[int, ...]:
    """Rounded down, as PyTorch and ONNX do."""
    extents = [n * s for n, s in zip(size, scales, strict=True)]
    if min(extents) < 1 or max(extents) > MAX_EXTENT:
        raise ValueError(
            f"{op}: scale_factor {scales} makes {tuple(extents)} of {size}, each of which must be in [1, 2**31 - 1]"
        )
    return tuple(math.floor(e) for e in extents)


def _corner_scales(size: Shape, out: tuple[int, ...]) -> tuple[float, ...]:
    """PyTorch's filters are scaled, but not placed, by the distances between corners; a single input or output has none."""
    return tuple((o - 1) / (n - 1) if min(n, o) > 1 else math.inf for n, o in zip(size, out, strict=True))


def _roi(op: str, roi: Any, rank: int, coordinates: str) -> tuple[float, ...]:
    """Starts and ends, as shares of the image."""
    crop = coordinates == "tf_crop_and_resize"
    if crop != (roi is not None):
        raise ValueError(f"{op}: roi must be given with coordinates 'tf_crop_and_resize' alone, got {shown(roi)}")
    if roi is None:
        return (0.0,) * rank + (1.0,) * rank
    if not isinstance(roi, (tuple, list)) or len(roi) != 2 * rank:
        raise ValueError(f"{op}: roi must be {rank} starts and {rank} ends, got {shown(roi)}")
    return tuple(scalars.real(op, "roi", v, -MAX_EXTENT, MAX_EXTENT) for v in roi)


def interpolate(op: str, x: Any, *settings: Any) -> tuple[Interpolation, Array]:
    """Of ``interpolate``: the settings, of which `resampling` makes tables."""
    x = array(op, "x", x)
    require_image(op, _rank(op, "x", x.shape), x.shape)
    return interpolation(op, x.shape, x, *settings), x


def interpolate_backward(op: str, dy: Any, x_shape: Any, *settings: Any) -> tuple[Interpolation, Array, Shape]:
    """Of ``interpolate_backward``, where ``x_shape`` is the input or only its shape."""
    dy = array(op, "dy", dy)
    x = shape_of(op, "x_shape", x_shape)
    require_image(op, _rank(op, "x_shape", x), x)
    given = interpolation(op, x, dy, *settings)
    return given, operand(op, "dy", dy, dy.dtype, (*x[:2], *given.out)), x


def _rank(op: str, name: str, shape: Shape) -> int:
    if not 3 <= len(shape) <= 5:
        raise ValueError(f"{op}: {name} must have 3 to 5 axes (n, c, one to three spatial ones), got shape {shape}")
    return len(shape) - 2


def resampling(op: str, given: Interpolation, x: Shape, dtype: np.dtype[Any], transposed: bool = False) -> Resample:
    """The tables for images of shape x; ``transposed``: those of the gradient, which make dx of dy."""
    kept = _kept if given.lasting(x[2:]) else _few_kept
    return kept(op, given, x, dtype, transposed)


def _resampling(op: str, given: Interpolation, x: Shape, dtype: np.dtype[Any], transposed: bool) -> Resample:
    limited(op, "the result", *x[:2], *given.out)
    if max(*x[2:], *given.out) > MAX_EXTENT:
        raise ValueError(f"{op}: the image of x {x} and the output size {given.out} must be below 2**31")
    assert given.rule is not None
    one, rank = unchanged(1, dtype), len(given.out)
    axes = [one] * (3 - rank)
    for i, (size, out, scale) in enumerate(zip(x[2:], given.out, given.scale, strict=True)):
        if given.keeps_equal and size == out:
            axes.append(unchanged(size, dtype))
            continue
        exact = given.rule.coordinates == "pytorch"
        axis = Axis(size, out, scale or (0 if exact else out / size), given.roi[i], given.roi[rank + i])
        axes.append(taps(given.rule, axis, dtype, transposed))
    sizes, outs = ((1,) * (3 - rank) + extents for extents in (x[2:], given.out))
    if transposed:
        sizes, outs = outs, sizes
    a, b, c = axes
    return Resample(x[0], x[1], triple(sizes), triple(outs), (a, b, c), 0.0 if transposed else given.fill)


_kept, _few_kept = lru_cache(512)(_resampling), lru_cache(8)(_resampling)
