"""ONNX's Resize."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import raw, shaping
from .read_table import F, axes_of, integers, is_float, op, text

_CROP = "tf_crop_and_resize"


@op("Resize")
def _resize(
    x: Any, roi: Any = None, scales: Any = None, sizes: Any = None, /, *, run: Any, antialias: int = 0, axes: Any = None,
    coordinate_transformation_mode: Any = "half_pixel", cubic_coeff_a: float = -0.75, exclude_outside: int = 0,
    extrapolation_value: float = 0.0, keep_aspect_ratio_policy: Any = "stretch", mode: Any = "nearest",
    nearest_mode: Any = "round_prefer_floor",
) -> Any:  # fmt: skip
    coordinates, kind = text(coordinate_transformation_mode), text(mode)
    along = axes_of(range(x.ndim) if axes is None else axes, x.ndim)
    extents = [x.shape[axis] for axis in along]
    factors, wanted = _sizes(extents, scales, sizes, text(keep_aspect_ratio_policy))
    options: dict[str, Any] = {"coordinates": coordinates, "antialias": bool(antialias)}
    if kind == "nearest":
        options |= {"nearest_mode": text(nearest_mode), "antialias": False}
    else:
        options |= {"exclude_outside": bool(exclude_outside)}
    if kind == "cubic":
        options |= {"cubic_coeff_a": cubic_coeff_a}
    changed = [i for i, n in enumerate(extents) if (wanted[i], factors[i]) != (n, 1) or coordinates == _CROP]
    if coordinates == _CROP:
        region = _region(roi, len(along))
        changed = [i for i in changed if (wanted[i], *region[i]) != (extents[i], 0.0, 1.0)]
        options |= {
            "roi": [region[i][end] for end in (0, 1) for i in changed],
            "extrapolation_value": extrapolation_value,
        }
    if not changed:
        return x
    whole = list(x.shape)
    for axis, n in zip(along, wanted, strict=True):
        whole[axis] = n
    run.room(whole, raw(x).dtype)
    places, new = [along[i] for i in changed], [wanted[i] for i in changed]
    return _interpolated(x, places, new, [factors[i] for i in changed], kind, options)


def _sizes(extents: Sequence[int], scales: Any, sizes: Any, policy: str) -> tuple[list[float], list[int]]:
    """For each axis the factor that places are computed with, and the new extent."""
    given = [values for values in (scales, sizes) if values is not None and np.size(raw(values))]
    if len(given) != 1 or np.shape(raw(given[0])) != (len(extents),):
        raise ValueError(f"expected scales or sizes, {len(extents)} of them")
    if given[0] is scales:
        factors = [float(f) for f in raw(scales)]
        if not all(0 < f < math.inf for f in factors):
            raise ValueError(f"scales {factors} are not positive")
        return factors, [math.floor(n * f) for n, f in zip(extents, factors, strict=True)]
    wanted = list(integers(sizes))
    if min(wanted) < 1 or min(extents) < 1:
        raise ValueError(f"sizes {wanted} for extents {list(extents)}")
    factors = [m / n for n, m in zip(extents, wanted, strict=True)]
    if policy == "stretch":
        return factors, wanted
    if policy not in ("not_larger", "not_smaller"):
        raise ValueError(f"keep_aspect_ratio_policy={policy!r} is not supported")
    factor = (min if policy == "not_larger" else max)(factors)
    return [factor] * len(factors), [math.floor(n * factor + 0.5) for n in extents]


def _region(roi: Any, count: int) -> list[tuple[float, float]]:
    """Start and end along each axis."""
    values = [] if roi is None else [float(v) for v in raw(roi).reshape(-1)]
    if len(values) != 2 * count:
        raise ValueError(f"{len(values)} numbers in roi for {count} axes")
    return list(zip(values[:count], values[count:], strict=True))


def _interpolated(
    x: Any, axes: Sequence[int], sizes: Sequence[int], factors: Sequence[float], mode: str, options: dict[str, Any]
) -> Any:
    """x with other extents along some axes, which `fastnn.functional.interpolate` wants at the end, behind two others."""
    if len(axes) > 3:
        raise ValueError(f"{len(axes)} axes change; up to 3 are supported")
    dtype = raw(x).dtype
    if not is_float(x):
        if mode != "nearest" or dtype.itemsize > 4:
            raise ValueError(f"mode {mode!r} of {dtype} is not supported")
        x = raw(x).astype(np.float64)  # which holds all of these numbers
    others = [i for i in range(x.ndim) if i not in axes]
    order = [*others, *axes]
    moved = x if order == list(range(x.ndim)) else shaping.transpose(x, order)
    lead = moved.shape[: len(others)]
    flat = shaping.reshape(moved, (1, math.prod(lead), *moved.shape[len(others) :]))
    y = F.interpolate(flat, tuple(sizes), tuple(factors), mode, **options)
    y = shaping.reshape(y, (*lead, *sizes))
    y = y if order == list(range(x.ndim)) else shaping.transpose(y, np.argsort(order).tolist())
    return y if is_float(x) and dtype.kind == "f" else y.astype(dtype)
