"""Samples of interpolation: every mode and rule of coordinates, sizes that shrink, grow and stay, and scales that don't divide."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Sample
from samples import Values

_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
)  # fmt: skip
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _pytorch(rank: int) -> list[dict[str, Any]]:
    """What PyTorch has too."""
    names = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}[rank]
    rows: list[dict[str, Any]] = [{"mode": mode} for mode in ("nearest", "nearest-exact", "area", *names)]
    rows += [{"mode": mode, "align_corners": corners} for mode in names for corners in (True, False)]
    if rank == 2:
        rows += [{"mode": mode, "antialias": True} for mode in names]
        rows += [{"mode": mode, "antialias": True, "align_corners": True} for mode in names]
    return rows


def _onnx(rank: int) -> list[dict[str, Any]]:
    """What PyTorch has not."""
    crop = {"roi": (0.25, -0.25, 0.5)[:rank] + (0.75, 1.5, 0.125)[:rank], "extrapolation_value": 2.5}
    rows = []
    for i, coordinates in enumerate(_COORDINATES):
        more = crop if coordinates == "tf_crop_and_resize" else {}
        rows += [{"mode": mode, "coordinates": coordinates, **more} for mode in ("nearest", "linear", "cubic")]
        rows[-3]["nearest_mode"] = _NEAREST[i % 4]
        rows[-2] |= {"antialias": i % 2 == 0, "exclude_outside": i % 3 == 0}
        rows[-1] |= {"antialias": i % 3 == 0, "exclude_outside": i % 2 == 1, "cubic_coeff_a": (-0.75, -0.5)[i % 2]}
    return rows


# Shapes of images with the sizes or scales of the output. Where there are as many planes as lanes, kernels go across planes.
_ROWS: dict[int, list[tuple[tuple[int, ...], dict[str, Any]]]] = {
    1: [
        ((1, 1, 1), {"size": 5}), ((2, 3, 17), {"scale_factor": 2.0}), ((2, 5, 33), {"size": (8,)}),
        ((2, 17, 6), {"size": 9}),
    ],
    2: [
        ((1, 1, 1, 1), {"size": (3, 2)}), ((0, 2, 6, 5), {"size": 4}), ((2, 3, 7, 8), {"scale_factor": 2.0}),
        ((1, 2, 17, 9), {"size": (5, 31)}), ((1, 2, 5, 33), {"scale_factor": (3.5, 0.6)}), ((1, 2, 4, 20), {"size": (4, 65)}),
        ((3, 11, 6, 5), {"scale_factor": 2.0}), ((2, 16, 7, 4), {"size": (3, 9)}),
    ],
    3: [
        ((2, 2, 3, 4, 5), {"scale_factor": (2.0, 1.5, 0.5)}), ((1, 2, 5, 4, 17), {"size": (3, 8, 17)}),
        ((2, 9, 3, 4, 2), {"size": (4, 3, 5)}), ((1, 35, 2, 3, 4), {"scale_factor": 2.0}),
    ],
}  # fmt: skip


def _samples(name: str, settings: Any) -> list[Sample]:
    v = Values(name)
    samples = []
    for rank, rows in _ROWS.items():
        choices = settings(rank)
        for i, (shape, sizes) in enumerate(rows):
            samples += [Sample((v.normal(*shape),), {**sizes, **o}) for o in choices[i % 2 :: 2]]
    return samples


def interpolate() -> list[Sample]:
    v = Values("interpolate specials")
    specials = [np.nan, np.inf, -np.inf, 1e-40]
    rows = [{"mode": "nearest"}, {"mode": "bilinear"}, {"mode": "bicubic"}, {"mode": "bilinear", "antialias": True}]
    special = [
        Sample((v.with_specials(2, c, 7, 8, specials=specials),), {"size": size, **o}, special=True)
        for o in rows for c, size in ((2, (13, 5)), (2, (4, 21)), (9, (5, 11)))
    ]  # fmt: skip
    return [*_samples("interpolate", _pytorch), *special]


def interpolate_onnx() -> list[Sample]:
    return _samples("interpolate of ONNX", _onnx)


def grid() -> list[Sample]:
    """Every mode of PyTorch's on every pair of a few sizes."""
    v = Values("grid interpolate")
    samples = []
    for mode in _pytorch(2):
        for image in ((5, 7), (8, 1), (3, 12)):
            for out in ((5, 7), (2, 3), (9, 8), (17, 25)):
                samples.append(Sample((v.normal(2, 2, *image),), {"size": out, **mode}))
            samples.append(Sample((v.normal(1, 2, *image),), {"scale_factor": (1.4, 2.4), **mode}))
    return samples
