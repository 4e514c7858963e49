"""Interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .graph_writer import Graph, Name, exact, extents, result
from .trace import Step
from .write_pools import adaptive_average, along
from .write_table import writes


@writes("interpolate")
def _interpolate(g: Graph, step: Step, x: Any, *settings: Any) -> Name:
    if step.function == "adaptive_avg_pool_forward":
        return adaptive_average(g, step, x)
    resized = _resized(g, step, x, *settings)
    return resized if resized is not None else _composed(g, step, x)


def _resized(
    g: Graph, step: Step, x: Any, size: Any, scale: Any, mode: str, corners: bool | None, recompute: bool | None,
    antialias: bool, coordinates: str | None, rounding: str | None, cubic: float | None, exclude: bool, roi: Any,
    fill: float,
) -> Name | None:  # fmt: skip
    """A node Resize, if there is one that takes the same inputs with the same weights; else None."""
    rank = len(x.shape) - 2
    kind = "cubic" if "cubic" in mode else "nearest" if "nearest" in mode else "linear"
    if coordinates is None:
        # PyTorch's rules, by the names of ONNX.
        place = {"nearest": "asymmetric", "nearest-exact": "half_pixel"}.get(mode)
        coordinates = place or ("align_corners" if corners else "half_pixel")
        rounding = {"nearest": "floor", "nearest-exact": "round_prefer_ceil"}.get(mode)
        cubic = -0.5 if antialias else cubic
        exclude = exclude or antialias
    rounding = (rounding or "round_prefer_floor") if kind == "nearest" else None
    # Runtimes have no kernel for float64, none for cubic but of images, and filters of their own against aliasing.
    if result(step).dtype != np.float32 or antialias or (kind == "cubic" and rank != 2):
        return None
    if coordinates == "half_pixel_symmetric" and g.opset < 19:
        return None
    out = step.geometry.out[3 - rank :]
    settings = (kind, None, None, antialias, coordinates, rounding, cubic, exclude, roi, fill)
    by_scale = scale if isinstance(scale, (tuple, list)) else (scale,) * rank
    if any(s is not None and not exact(s, np.float64) for s in by_scale):  # as numbers of float32 they place others
        scale = None
    given: tuple[Any, ...] | None = None
    if _same(step, x, out, None, settings):
        given = (None, g.shape([*extents(x)[:2], *out]))
    elif scale is not None and not recompute and _same(step, x, None, tuple(by_scale), settings):
        given = (g.array([1, 1, *by_scale], np.float32), None)
    if given is None:
        return None
    shares = None if roi is None else g.array([0, 0, *roi[:rank], 1, 1, *roi[rank:]], np.float32)
    return g.node(
        "Resize", x, shares, *given, mode=kind, coordinate_transformation_mode=coordinates, nearest_mode=rounding,
        cubic_coeff_a=None if kind != "cubic" else float(-0.75 if cubic is None else cubic),
        exclude_outside=int(exclude), extrapolation_value=float(fill),
    )  # fmt: skip


def _same(step: Step, x: Any, size: Any, scale: Any, settings: tuple[Any, ...]) -> bool:
    """Whether these settings, by ONNX's rules, make the tables that the step has."""
    like = np.empty(0, result(step).dtype)
    given = checks.interpolation("interpolate", x.shape, like, size, scale, *settings)
    tables = checks.resampling("interpolate", given, x.shape, like.dtype)
    pairs = zip(tables.axes, step.geometry.axes, strict=True)
    return tables.out == step.geometry.out and all(
        a.out == b.out and all(map(np.array_equal, a[2:], b[2:])) for a, b in pairs
    )


def _composed(g: Graph, step: Step, x: Any) -> Name:
    """One axis after the other: inputs looked up where each output is one of them, else a product with a constant matrix."""
    geometry, dtype, rank = step.geometry, result(step).dtype, len(x.shape) - 2
    y = g.name(x)
    outside = np.zeros((1,) * 3, bool)
    for axis, taps in enumerate(geometry.axes[3 - rank :], 2):
        index, weights = taps.inputs, taps.weights
        places = np.zeros(taps.out, bool)
        places[taps.empty] = True
        outside = outside | places.reshape([-1 if i == axis - 2 + 3 - rank else 1 for i in range(3)])
        if len(index) == 1 and (weights == 1).all():
            if not np.array_equal(index[0], np.arange(taps.size)):
                y = g.node("Gather", y, g.array(index[0], np.int64), axis=axis)
            continue
        matrix = np.zeros((taps.out, taps.size), dtype)
        np.add.at(matrix, (np.broadcast_to(np.arange(taps.out), index.shape), index), weights)
        y = along(g, y, matrix, axis, rank + 2)
    if outside.any():
        mask = outside.reshape(outside.shape[3 - rank :])
        y = g.node("Where", g.array(mask), g.array(geometry.fill, dtype), y)
    return y if y != g.name(x) else g.node("Identity", x)
