"""Sample generators of the op table: the shapes and arguments that hurt, in values that float32 holds exactly."""

from __future__ import annotations

import itertools
import zlib
from functools import lru_cache
from typing import Any

import numpy as np

from harness import Sample

# Around the vector lengths (4, 8, 16 lanes) and their small multiples.
EDGES = sorted({2**k * m + d for k in range(2, 6) for m in (1, 3) for d in (-1, 0, 1)} | {1, 2})
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1e-30, 3e38, -3e38, 88.0, -88.0, 104.0, -104.0, 1e4, -1e4]


def _single(x: Any) -> np.ndarray:
    """Rounded to float32, held in float64."""
    return np.asarray(x, np.float32).astype(np.float64)


class Values:
    """Random arrays that depend on nothing but the seed."""

    def __init__(self, seed: str) -> None:
        self.rng = np.random.default_rng(zlib.crc32(seed.encode()))

    def normal(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
        return _single(self.rng.standard_normal(shape) * scale + shift)

    def positive(self, *shape: int) -> np.ndarray:
        return _single(self.rng.uniform(0.1, 2.0, shape))

    def ties(self, *shape: int) -> np.ndarray:
        """Few different values, so that maxima are often equal."""
        return self.rng.integers(-2, 3, shape).astype(np.float64)

    def with_specials(self, *shape: int, specials: Any = SPECIAL) -> np.ndarray:
        with np.errstate(all="ignore"):
            x = self.normal(*shape).ravel()
            special = _single(specials)
        at = self.rng.choice(x.size, min(x.size, special.size), replace=False)
        x[at] = special[: at.size]
        return x.reshape(shape)


# ---- elementwise --------------------------------------------------------------------------------------------------


@lru_cache
def elementwise() -> list[Sample]:
    v = Values("elementwise")
    shapes = [(), (0,), (3, 0, 4), *((n,) for n in EDGES), (2, 3, 5, 7), (10007,), (3, 40, 41)]
    samples = [Sample((v.normal(*s, scale=3),)) for s in shapes]
    samples.append(Sample((_single(np.linspace(-100, 100, 4001)),), note="range"))
    samples.append(Sample((v.normal(1000, scale=1e-4),), note="small"))
    return [*samples, Sample((v.with_specials(97),), special=True)]


def add() -> list[Sample]:
    v = Values("add")
    pairs = [Sample((s.arrays[0], v.normal(*np.shape(s.arrays[0])))) for s in elementwise() if not s.special]
    return [*pairs, Sample((v.with_specials(97), v.with_specials(97)), special=True)]


def with_options(samples: list[Sample], *options: dict[str, Any]) -> list[Sample]:
    """Every sample with the defaults, the first few with each set of options."""
    few = [s for i, s in enumerate(samples) if i % 5 == 0 or s.special]
    return samples + [Sample(s.arrays, o, s.special, s.note) for o in options for s in few]


def rrelu() -> list[Sample]:
    random = {"training": True, "rng": 5}
    return with_options(elementwise(), {"lower": 0.0, "upper": 0.5}, random, random | {"lower": 0.25, "upper": 0.25})


def prelu() -> list[Sample]:
    v = Values("prelu")
    rows: list[Any] = [
        ((), 1), ((0,), 1), ((3, 0, 4), 1), ((2, 3, 0), 3), ((0, 3, 5), 3), ((1, 1), 1), ((70, 1), 1), ((4, 17), 17),
        ((131, 3), 3), ((64, 16), 16), ((65, 33), 33), ((2, 3, 5, 7), 3), ((2, 5, 129), 5), ((3, 2, 4, 4, 5), 2),
        ((1, 2, 16385), 2), ((40007,), 1), ((3, 40, 41), 1),
    ]  # fmt: skip
    samples = [Sample((v.normal(*s), v.normal(n))) for s, n in rows]
    samples.append(Sample((v.normal(2, 3, 9), np.array([0.25, 0.0, -1.0]))))
    return [*samples, Sample((v.with_specials(4, 3, 9), v.positive(3)), special=True)]


def maxout() -> list[Sample]:
    v = Values("maxout")
    rows: list[Any] = [
        ((2, 4), 2, 1), ((3, 6), 3, 1), ((33, 40), 5, 1), ((70, 6), 2, 1), ((3, 5), 1, 1), ((4, 300), 150, -1),
        ((8,), 4, 0), ((6, 5), 2, 0), ((2, 6, 4, 5), 3, 1), ((2, 8, 33), 4, 1), ((2, 3, 130), 2, 2), ((0, 4), 2, 1),
        ((3, 0), 2, 1), ((2, 4, 0), 2, 1), ((2, 4, 2, 3, 4), 2, 1),
    ]  # fmt: skip
    samples = [Sample((v.normal(*s),), {"k": k, "axis": axis}) for s, k, axis in rows]
    samples += [Sample((v.ties(*s),), {"k": 3}, note="ties") for s in ((40, 9), (3, 6, 20), (2, 300))]
    return [*samples, *(Sample((v.with_specials(*s),), {"k": 3}, special=True) for s in ((13, 9), (2, 9, 7)))]


# (lead, channels, height, width, factor) of the image with fewer pixels, its channels without factor**2
PIXELS: list[Any] = [
    ((), 1, 1, 1, 2), ((2,), 3, 5, 7, 2), ((1,), 1, 17, 16, 3), ((2, 2), 2, 3, 4, 4), ((3,), 2, 4, 5, 1), ((1,), 1, 1, 65, 5),
    ((0,), 2, 3, 3, 2), ((2,), 0, 3, 3, 2), ((2,), 3, 0, 3, 2), ((1,), 5, 33, 31, 2), ((1,), 1, 2, 3, 17),
]  # fmt: skip


def pixel_shuffle() -> list[Sample]:
    v = Values("pixel_shuffle")
    samples = [Sample((v.normal(*l, c * r * r, h, w),), {"upscale_factor": r}) for l, c, h, w, r in PIXELS]
    return [*samples, Sample((v.with_specials(2, 8, 3, 5),), {"upscale_factor": 2}, special=True)]


def pixel_unshuffle() -> list[Sample]:
    v = Values("pixel_unshuffle")
    samples = [Sample((v.normal(*l, c, h * r, w * r),), {"downscale_factor": r}) for l, c, h, w, r in PIXELS]
    return [*samples, Sample((v.with_specials(2, 2, 6, 10),), {"downscale_factor": 2}, special=True)]


# ---- matrix products ----------------------------------------------------------------------------------------------

# (m, k, n): edges of tiles and vectors, then more than one block along each axis
PRODUCTS = [
    (1, 1, 1), (1, 7, 1), (2, 1, 3), (1, 64, 10), (32, 64, 10), (7, 13, 17), (15, 33, 31), (16, 16, 16), (17, 65, 33),
    (13, 3, 49), (48, 8, 47), (49, 9, 48), (5, 300, 6), (65, 31, 97), (129, 70, 3), (3, 2, 130), (2, 1500, 5),
    (300, 40, 20), (20, 520, 260),
]  # fmt: skip


def linear() -> list[Sample]:
    v = Values("linear")
    samples = []
    for i, (m, k, n) in enumerate(PRODUCTS):
        bias = v.normal(n) if i % 3 else None
        samples.append(Sample((v.normal(m, k), v.normal(n, k), bias)))
    samples += [
        Sample((v.normal(0, 5), v.normal(3, 5), v.normal(3))),
        Sample((v.normal(2, 3, 5), v.normal(4, 5), v.normal(4))),
        Sample((v.normal(5), v.normal(4, 5), None)),
        Sample((v.normal(40, 30, shift=5), v.normal(20, 30, shift=-5), v.normal(20)), note="one sign"),
    ]
    x = v.normal(33, 17)
    x[3, 5], x[20, 0], x[32, 16] = np.nan, np.inf, 1e-40
    return [*samples, Sample((x, v.positive(19, 17), v.normal(19)), special=True)]


def matmul() -> list[Sample]:
    v = Values("matmul")
    samples = [Sample((v.normal(m, k), v.normal(k, n))) for m, k, n in PRODUCTS]
    pairs = [
        ((0, 3), (3, 4)), ((4, 3), (3, 0)), ((4, 0), (0, 3)), ((5,), (5,)), ((5,), (5, 3)), ((3, 5), (5,)),
        ((4, 3, 5), (4, 5, 2)), ((2, 3, 4, 5), (5, 6)), ((2, 1, 4, 5), (3, 5, 6)), ((0, 3, 4), (0, 4, 2)),
        ((3, 17, 33), (3, 33, 18)), ((5,), (2, 5, 3)), ((2, 3, 5), (5,)), ((1, 3, 5), (4, 5, 2)),
    ]  # fmt: skip
    samples += [Sample((v.normal(*a), v.normal(*b))) for a, b in pairs]
    a = v.normal(18, 9)
    a[2, 3], a[17, 8], a[0, 0] = np.nan, -np.inf, 1e-40
    return [*samples, Sample((a, v.positive(9, 21)), special=True)]


# ---- pooling ------------------------------------------------------------------------------------------------------

_POOL1D: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 1, 1), {"kernel_size": 1}),
    ((0, 2, 6), {"kernel_size": 2}),
    ((2, 3, 17), {"kernel_size": 2}),
    ((2, 3, 33), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 5, 10), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((2, 2, 64), {"kernel_size": 5, "stride": 1, "padding": 2}),
    ((1, 1, 700), {"kernel_size": 600, "stride": 50}),
]
_POOL2D: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 1, 1, 1), {"kernel_size": 1}),
    ((0, 2, 6, 6), {"kernel_size": 2}),
    ((2, 3, 4, 4), {"kernel_size": 2}),
    ((2, 3, 31, 33), {"kernel_size": 2}),
    ((1, 2, 16, 64), {"kernel_size": 2}),
    ((2, 5, 15, 17), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 3, 56, 56), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 3, 14, 15), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((1, 3, 9, 34), {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0), "ceil_mode": True}),
    ((2, 2, 13, 12), {"kernel_size": 5, "stride": 1, "padding": 2}),
    ((1, 2, 20, 3), {"kernel_size": (20, 3)}),
    ((1, 1, 40, 40), {"kernel_size": (17, 19), "stride": (5, 4)}),
    ((3, 17, 5, 7), {"kernel_size": 4, "stride": 3, "padding": 2}),
    ((1, 2, 8, 8), {"kernel_size": 1, "stride": 3}),
    ((2, 2, 7, 9), {"kernel_size": 3, "stride": 2, "padding": ((0, 1), (1, 0))}),
    ((2, 40, 8, 8), {"kernel_size": 8}),
]


_POOL3D: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 1, 1, 1, 1), {"kernel_size": 1}),
    ((0, 2, 4, 6, 6), {"kernel_size": 2}),
    ((2, 3, 4, 6, 9), {"kernel_size": 2}),
    ((1, 2, 5, 7, 33), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 2, 3, 9, 6), {"kernel_size": (1, 3, 2), "stride": (1, 2, 3), "ceil_mode": True}),
    ((1, 3, 6, 5, 12), {"kernel_size": (5, 3, 5), "stride": 1, "padding": (2, 1, 2)}),
    ((1, 1, 9, 8, 9), {"kernel_size": (7, 6, 8)}),
    ((2, 2, 4, 5, 7), {"kernel_size": 2, "stride": 3, "padding": ((0, 1), (1, 0), (1, 1))}),
]
_POOLS = {1: _POOL1D, 2: _POOL2D, 3: _POOL3D}
# Shapes for what has to be tried on one shape only, by rank.
_SHAPES = {1: (2, 3, 40), 2: (2, 3, 9, 21), 3: (2, 2, 5, 6, 13)}


def _pool(name: str, rank: int, extra: list[tuple[tuple[int, ...], dict[str, Any]]], **options: Any) -> list[Sample]:
    v = Values(name)
    rows = _POOLS[rank] + extra
    samples = [Sample((v.normal(*x),), options | o) for x, o in rows]
    shape = _SHAPES[rank]
    tied = Sample((v.ties(*shape),), {"kernel_size": 3, "stride": 2, **options}, note="ties")
    return [*samples, tied, Sample((v.with_specials(*shape),), {"kernel_size": 2, **options}, special=True)]


def _max_pool(rank: int) -> list[Sample]:
    shape = _SHAPES[rank]
    extra: list[Any] = [
        (shape, {"kernel_size": 3, "dilation": 2, "padding": 1}),
        (shape, {"kernel_size": 2, "dilation": 4, "stride": 1}),
        (shape, {"kernel_size": 3, "stride": 2, "padding": 1, "return_indices": True}),
        (shape, {"kernel_size": 2, "ceil_mode": True, "return_indices": True}),
        # Lanes across planes: more of them than lanes, some of the last vector missing.
        ((3, 7, *(2, 6, 5)[-rank:]), {"kernel_size": 2, "ceil_mode": True}),
        ((5, 9, *(3, 4, 3)[-rank:]), {"kernel_size": 3, "stride": 1, "padding": 1, "return_indices": True}),
    ]
    nan = np.full((1, 2, *(2, 4, 8)[-rank:]), np.nan)
    low = np.full_like(nan, -np.inf)
    options = {"kernel_size": 3, "stride": 2, "padding": 1}
    return [
        *_pool(f"max_pool{rank}d", rank, extra),
        Sample((nan,), options, special=True, note="all NaN"),
        Sample((low,), options, special=True, note="all -inf"),
    ]


def _avg_pool(rank: int) -> list[Sample]:
    shape = _SHAPES[rank]
    extra: list[Any] = [
        (shape, {"kernel_size": k, "stride": 2, "padding": p, "ceil_mode": ceil, "count_include_pad": count})
        for k, p, ceil, count in itertools.product((2, 3), (0, 1), (False, True), (False, True))
    ]
    extra += [
        (shape, {"kernel_size": 3, "stride": s, "padding": 1, "ceil_mode": True, "divisor_override": d})
        for s, d in ((1, 1), (2, 5), (3, 1000))
    ]
    extra += _dilated(rank)
    extra += [(s, {**o, "count_include_pad": False}) for s, o in _dilated(rank)]
    extra.append((shape, {"kernel_size": 2, "dilation": 2, "divisor_override": 3}))
    large = Sample((np.full(shape, 3e38),), {"kernel_size": 2, "dilation": (1, 2, 3)[-rank:]}, special=True)
    return [*_pool(f"avg_pool{rank}d", rank, extra), large]


def _dilated(rank: int) -> list[tuple[tuple[int, ...], dict[str, Any]]]:
    """Windows with dilation, for each of the walks that take them: by the stride along the row, and the row's length."""
    shape, small = _SHAPES[rank], (3, 5, *(4, 5, 6)[-rank:])
    return [
        (shape, {"kernel_size": 3, "stride": 1, "dilation": 2, "padding": 2}),
        (shape, {"kernel_size": 2, "stride": 2, "dilation": (3, 1, 2)[-rank:], "padding": 1, "ceil_mode": True}),
        (shape, {"kernel_size": 2, "stride": 3, "dilation": 2, "padding": ((1, 0),) * rank}),
        (shape, {"kernel_size": (1, 2, 3)[-rank:], "stride": 5, "dilation": (1, 3, 4)[-rank:], "ceil_mode": True}),
        (small, {"kernel_size": 2, "dilation": 3}),
        (small, {"kernel_size": 2, "stride": 2, "dilation": 2}),
        ((1, 2, *(1, 1, 70)[-rank:]), {"kernel_size": (1, 1, 33)[-rank:], "stride": 1, "dilation": (1, 1, 2)[-rank:]}),
    ]


def _lp_pool(rank: int) -> list[Sample]:
    v = Values(f"lp_pool{rank}d")
    rows = _POOLS[rank] + _dilated(rank)
    samples = [Sample((v.normal(*x),), {"norm_type": (2, 3, 1, 1.5)[i % 4], **o}) for i, (x, o) in enumerate(rows)]
    shape = (1, 2, *(4, 6, 12)[-rank:])
    zero = Sample((np.zeros(shape),), {"norm_type": 2, "kernel_size": 2}, note="zeros")
    nan = v.with_specials(*shape, specials=[np.nan, np.inf, 0.0])
    return [*samples, zero, Sample((nan,), {"norm_type": 2, "kernel_size": 2}, special=True)]


def _adaptive_pool(name: str, rank: int) -> list[Sample]:
    v = Values(f"{name}{rank}d")
    rows: dict[int, list[Any]] = {
        1: [((1, 1, 1), 1), ((0, 2, 6), 2), ((2, 3, 17), 1), ((2, 3, 17), 5), ((2, 3, 4), 7), ((1, 2, 64), 64)],
        2: [
            ((1, 1, 1, 1), 1), ((0, 2, 6, 5), 2), ((2, 3, 7, 7), 1), ((2, 35, 8, 8), 1), ((2, 3, 17, 13), (5, 3)),
            ((2, 3, 4, 3), (7, 2)), ((1, 2, 9, 64), (None, 16)), ((1, 2, 30, 31), 7),
        ],
        3: [
            ((1, 1, 1, 1, 1), 1), ((0, 2, 3, 6, 5), 2), ((2, 3, 3, 7, 7), 1), ((2, 3, 9, 7, 5), (5, 3, 2)),
            ((2, 2, 2, 4, 3), (3, 7, 2)), ((1, 2, 5, 6, 33), (None, 4, 16)),
        ],
    }  # fmt: skip
    samples = [Sample((v.normal(*x),), {"output_size": o}) for x, o in rows[rank]]
    shape = _SHAPES[rank]
    size = (3, 4, 7)[-rank:]
    samples.append(Sample((v.ties(*shape),), {"output_size": size}, note="ties"))
    nan = v.with_specials(*shape, specials=[np.nan, np.inf, -np.inf, 1e-40])
    samples.append(Sample((nan,), {"output_size": size}, special=True))
    if name == "adaptive_max_pool":
        samples += [Sample(s.arrays, {**s.options, "return_indices": True}, s.special, s.note) for s in samples[1::2]]
    return samples


def max_pool1d() -> list[Sample]:
    return _max_pool(1)


def max_pool2d() -> list[Sample]:
    return _max_pool(2)


def max_pool3d() -> list[Sample]:
    return _max_pool(3)


def avg_pool1d() -> list[Sample]:
    return _avg_pool(1)


def avg_pool2d() -> list[Sample]:
    return _avg_pool(2)


def avg_pool3d() -> list[Sample]:
    return _avg_pool(3)


def lp_pool1d() -> list[Sample]:
    return _lp_pool(1)


def lp_pool2d() -> list[Sample]:
    return _lp_pool(2)


def lp_pool3d() -> list[Sample]:
    return _lp_pool(3)


def adaptive_avg_pool1d() -> list[Sample]:
    return _adaptive_pool("adaptive_avg_pool", 1)


def adaptive_avg_pool2d() -> list[Sample]:
    return _adaptive_pool("adaptive_avg_pool", 2)


def adaptive_avg_pool3d() -> list[Sample]:
    return _adaptive_pool("adaptive_avg_pool", 3)


def adaptive_max_pool1d() -> list[Sample]:
    return _adaptive_pool("adaptive_max_pool", 1)


def adaptive_max_pool2d() -> list[Sample]:
    return _adaptive_pool("adaptive_max_pool", 2)


def adaptive_max_pool3d() -> list[Sample]:
    return _adaptive_pool("adaptive_max_pool", 3)
