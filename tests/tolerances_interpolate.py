"""How far interpolation may be off: sums of products with weights, and weights that places were rounded for.

As in `tolerances`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn.functional as F
import tolerances
from fastnn import checks
from fastnn.backend import reference
from harness import Op, Results, Sample, gradient_for

_SETTINGS = (
    "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias", "coordinates", "nearest_mode",
    "cubic_coeff_a", "exclude_outside", "roi", "extrapolation_value",
)  # fmt: skip


def interpolate(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """Each axis adds the roundings of its taps and of their weights, whose sizes count; areas are averages.

    Places are as far off as float64 numbers of the size of the image are, and so are PyTorch's weights: a few times the
    largest input, at a slope of the filter of at most 2 per axis.
    """
    if sample.options["mode"] == "area":
        return tolerances.averages(op, sample, truth, eps)
    (x,) = sample.arrays
    assert x is not None
    dy = np.abs(gradient_for(truth["y"].shape, np.float64))
    y = _of_magnitudes(sample.options, np.abs(x), x.shape, transposed=False)
    dx = _of_magnitudes(sample.options, dy, x.shape, transposed=True)
    extent = max(*x.shape[2:], *truth["y"].shape[2:])
    places = 2 * (x.ndim - 2) * extent * (np.finfo(np.float64).eps / eps) * (sample.options["mode"][:7] != "nearest")
    return {"y": y + places * _largest(np.abs(x)), "dx": dx + places * _largest(dy) * _most_outputs(x, truth["y"])}


def _of_magnitudes(options: dict[str, Any], a: np.ndarray, x: Any, transposed: bool) -> np.ndarray:
    """What the weights' sizes make of an array, times the roundings of a sum of so many terms."""
    given = checks.interpolate("interpolate", np.empty((1, *x[1:])), *(options.get(o, _default(o)) for o in _SETTINGS))[
        0
    ]
    g = checks.resampling("interpolate", given, x, a.dtype, transposed)
    taps = sum(axis.inputs.shape[0] for axis in g.axes)
    axes = tuple(axis._replace(weights=np.abs(axis.weights)) for axis in g.axes)
    return (taps + 3) * reference.resample(g._replace(axes=axes), a)


def _default(name: str) -> Any:
    return F.interpolate.__kwdefaults__.get(name, {"mode": "nearest", "antialias": False}.get(name))


def _largest(a: np.ndarray) -> float:
    return float(a[np.isfinite(a)].max(initial=0.0))


def _most_outputs(x: np.ndarray, y: np.ndarray) -> float:
    """How many outputs about an input has a part in."""
    shares = (o / i + 1 for i, o in zip(x.shape[2:], y.shape[2:], strict=True))
    return float(np.prod([4 * s for s in shares]))
