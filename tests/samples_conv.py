"""Sample generators of the op table, continued: convolution and transposed convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Sample
from samples import Values

# ---- convolution --------------------------------------------------------------------------------------------------


def conv_sample(
    v: Values, x: tuple[int, ...], k: int, kernel: tuple[int, ...], bias: bool = True, **options: Any
) -> Sample:
    c = x[1] // options.get("groups", 1)
    return Sample((v.normal(*x), v.normal(k, c, *kernel), v.normal(k) if bias else None), options)


def conv1d() -> list[Sample]:
    v = Values("conv1d")
    rows: list[tuple[Any, ...]] = [
        ((1, 1, 1), 1, (1,), {}),
        ((2, 3, 5), 4, (3,), {}),
        ((2, 3, 7), 5, (7,), {}),
        ((0, 3, 8), 4, (3,), {}),
        ((2, 4, 17), 6, (3,), {"stride": 2, "padding": 1}),
        ((1, 4, 33), 4, (5,), {"groups": 4, "padding": "same"}),
        ((3, 6, 31), 9, (4,), {"groups": 3, "dilation": 3, "padding": "full"}),
        ((1, 2, 128), 3, (3,), {"stride": 2, "padding": "same"}),
        ((2, 2, 9), 3, (2,), {"stride": 3, "padding": ((0, 2),)}),
        ((2, 70, 40), 65, (3,), {"padding": 1}),
        ((1, 3, 400), 2, (9,), {"dilation": 20, "padding": "valid"}),
    ]
    return [conv_sample(v, x, k, f, bias=i % 3 != 2, **o) for i, (x, k, f, o) in enumerate(rows)]


# shape of x, number of filters, size of a filter, arguments
CONV2D: list[tuple[Any, ...]] = [
    ((1, 1, 1, 1), 1, (1, 1), {}),
    ((0, 2, 4, 4), 3, (3, 3), {"padding": 1}),
    ((1, 1, 5, 5), 1, (5, 5), {}),
    ((2, 3, 8, 8), 4, (3, 3), {"padding": 1}),
    ((2, 1, 28, 28), 8, (3, 3), {"padding": 1}),
    ((1, 3, 32, 32), 16, (3, 3), {"padding": 1}),
    ((2, 16, 15, 17), 16, (3, 3), {"padding": 1}),
    ((2, 17, 16, 33), 19, (3, 3), {"padding": (1, 0)}),
    ((1, 5, 1, 64), 7, (1, 3), {"padding": "same"}),
    ((1, 5, 65, 1), 7, (3, 1), {"stride": (2, 1)}),
    ((3, 8, 9, 9), 12, (1, 1), {}),
    ((2, 33, 14, 14), 65, (1, 1), {"stride": 2}),
    ((2, 64, 7, 7), 48, (1, 1), {}),
    ((1, 3, 40, 40), 20, (7, 7), {"stride": 2, "padding": 3}),
    ((2, 4, 11, 13), 6, (2, 4), {"stride": (3, 2), "padding": ((0, 1), (2, 1))}),
    ((2, 4, 11, 13), 6, (3, 2), {"stride": 4, "padding": "full"}),
    ((2, 4, 12, 12), 6, (3, 3), {"dilation": 2, "padding": 2}),
    ((2, 4, 20, 9), 6, (3, 3), {"dilation": (5, 2), "stride": (1, 2), "padding": (4, 1)}),
    ((2, 6, 10, 11), 6, (3, 3), {"groups": 6, "padding": 1}),
    ((2, 6, 10, 35), 12, (3, 3), {"groups": 6, "padding": 1, "stride": 2}),
    ((2, 6, 9, 9), 10, (3, 3), {"groups": 2, "padding": "same"}),
    ((1, 40, 5, 5), 8, (3, 3), {"groups": 8, "dilation": 2, "padding": "same"}),
    ((2, 16, 32, 32), 16, (3, 3), {"padding": 1}),
    ((1, 130, 9, 9), 70, (3, 3), {"padding": 1}),
    ((9, 65, 7, 7), 130, (3, 3), {"padding": 1}),
    ((1, 2, 4, 4), 3, (3, 3), {"padding": 6}),
    ((1, 2, 300, 3), 3, (3, 3), {"padding": 1}),
    ((1, 2, 3, 300), 3, (3, 3), {"padding": 1, "stride": (1, 3)}),
    ((5, 2, 6, 6), 3, (2, 2), {"stride": 7}),
    # Lanes across images: of one vector and of two, some of them missing; several blocks of positions; both strides.
    ((16, 3, 4, 4), 9, (3, 3), {"padding": 1}),
    ((31, 2, 5, 3), 17, (3, 3), {"padding": 1}),
    ((48, 8, 2, 2), 40, (3, 3), {"padding": (1, 2), "dilation": (1, 2)}),
    ((32, 4, 8, 7), 16, (3, 2), {"padding": (2, 1), "stride": 2, "groups": 2}),
    ((16, 33, 6, 6), 150, (2, 2), {}),
    ((18, 4, 6, 1), 9, (3, 1), {"padding": (1, 0)}),
    # Forward with lanes across output channels: a block that isn't full, of one vector and of two; rows in pairs and
    # cut up; an image in blocks of rows; x read in place, a row in blocks; groups; strides.
    ((3, 9, 7, 7), 44, (3, 3), {"padding": 1}),
    ((2, 8, 5, 29), 60, (3, 3), {"padding": (1, 0), "dilation": (1, 2)}),
    ((1, 64, 40, 50), 33, (3, 3), {"padding": 1}),
    ((1, 70, 1, 1500), 40, (1, 1), {}),
    ((2, 96, 9, 9), 128, (3, 3), {"stride": 2, "padding": 1, "groups": 2}),
    # Winograd: several blocks of tiles; cut tiles; groups; rows narrower than a vector; weights some rows at a time.
    ((2, 32, 24, 23), 40, (3, 3), {"padding": 1}),
    ((5, 48, 7, 6), 64, (3, 3), {"padding": 2}),
    ((2, 64, 20, 21), 96, (3, 3), {"groups": 2}),
    ((41, 32, 5, 4), 32, (3, 3), {"padding": (1, 2)}),
    ((1, 17, 61, 90), 33, (3, 3), {"padding": (0, 1)}),
    ((2, 192, 12, 12), 170, (3, 3), {"padding": 1}),
    # Neither: few output channels and rows of one position.
    ((2, 3, 20, 9), 7, (1, 9), {}),
    # Weight gradient with lanes across channels: one vector and two, several images to a block, several blocks, taps by twos.
    ((3, 16, 9, 9), 8, (3, 3), {"padding": 1}),
    ((9, 31, 5, 5), 21, (3, 3), {"padding": 1}),
    ((2, 64, 12, 12), 16, (1, 1), {"stride": 2}),
    ((4, 50, 20, 17), 30, (3, 2), {"groups": 2, "stride": (2, 1), "padding": (1, 0)}),
    ((20, 16, 30, 30), 8, (2, 2), {"dilation": 2}),
    # Depthwise: one to four vectors of columns and one more, rows by fours and what is left, blocks of rows and of images.
    ((3, 5, 9, 14), 5, (3, 3), {"groups": 5, "padding": 1}),
    ((2, 3, 6, 37), 3, (3, 3), {"groups": 3, "padding": (1, 0)}),
    ((1, 2, 11, 50), 2, (5, 4), {"groups": 2, "padding": 2, "dilation": (1, 2)}),
    ((2, 3, 13, 71), 3, (3, 3), {"groups": 3, "padding": 1, "stride": 2}),
    ((20, 2, 8, 8), 2, (3, 3), {"groups": 2, "padding": 1}),
    ((1, 2, 90, 130), 2, (3, 3), {"groups": 2, "padding": 1, "stride": (1, 3)}),
    ((1, 2, 2, 9000), 2, (1, 3), {"groups": 2, "padding": "same"}),
    ((2, 7, 9, 33), 7, (1, 1), {"groups": 7}),
    # A single tap from many output channels.
    ((2, 3, 12, 11), 64, (1, 1), {}),
]


def conv2d() -> list[Sample]:
    v = Values("conv2d")
    samples = [conv_sample(v, x, k, f, bias=i % 4 != 3, **o) for i, (x, k, f, o) in enumerate(CONV2D)]
    x = v.normal(2, 3, 18, 18)
    x[0, 1, 4, 5], x[1, 2, 0, 0], x[1, 0, 17, 17] = np.nan, np.inf, 1e-40
    many = v.normal(1, 32, 24, 23)
    many[0, 3, 7, 9], many[0, 20, 23, 22] = -np.inf, np.nan
    return [
        *samples,
        Sample((many, v.positive(32, 32, 3, 3), v.normal(32)), {"padding": 1}, special=True),
        Sample((x, v.positive(5, 3, 3, 3), v.normal(5)), {"padding": 1}, special=True),
        Sample((x, v.positive(3, 1, 3, 3), v.normal(3)), {"padding": 1, "groups": 3}, special=True),
    ]


def conv3d() -> list[Sample]:
    v = Values("conv3d")
    rows: list[tuple[Any, ...]] = [
        ((1, 1, 1, 1, 1), 1, (1, 1, 1), {}),
        ((0, 2, 3, 4, 4), 3, (3, 3, 3), {"padding": 1}),
        ((2, 3, 4, 7, 9), 4, (3, 3, 3), {"padding": 1}),
        ((1, 16, 5, 8, 17), 16, (3, 3, 3), {"padding": "same"}),
        ((2, 3, 6, 9, 10), 5, (3, 2, 4), {"stride": (2, 3, 1), "padding": (1, 0, 2)}),
        ((1, 4, 7, 8, 6), 6, (2, 3, 2), {"dilation": (3, 2, 1), "groups": 2, "padding": ((1, 2), (0, 1), (2, 0))}),
        ((2, 4, 5, 5, 33), 8, (1, 3, 3), {"groups": 4, "padding": "full", "stride": 2}),
        ((3, 17, 4, 3, 5), 33, (1, 1, 1), {"stride": (1, 2, 2)}),
        ((1, 2, 40, 3, 2), 3, (5, 1, 1), {"stride": (3, 1, 1)}),
        ((1, 16, 10, 30, 45), 3, (3, 2, 2), {"stride": (2, 1, 1), "padding": (1, 0, 1)}),  # goes block by block
        ((1, 2, 9, 30, 45), 2, (3, 2, 3), {"groups": 2, "padding": 1}),
        # Winograd, taps along the depth counting as channels: weights transformed once; some rows at a time, two blocks.
        ((2, 16, 4, 14, 13), 33, (3, 3, 3), {"padding": 1}),
        ((1, 32, 5, 12, 12), 32, (2, 3, 3), {"padding": (2, 1, 1), "dilation": (2, 1, 1)}),
        ((1, 400, 3, 22, 23), 26, (3, 3, 3), {"padding": 1}),
    ]
    samples = [conv_sample(v, x, k, f, bias=i % 4 != 3, **o) for i, (x, k, f, o) in enumerate(rows)]
    x = v.normal(1, 2, 4, 5, 18)
    x[0, 1, 2, 3, 4], x[0, 0, 0, 0, 0], x[0, 1, 3, 4, 17] = np.nan, np.inf, 1e-40
    return [*samples, Sample((x, v.positive(3, 2, 2, 3, 3), v.normal(3)), {"padding": 1}, special=True)]


# ---- transposed convolution: stride phases with and without taps, outputs beyond the last tap, crops ------------------


def conv_transpose_sample(
    v: Values, x: tuple[int, ...], k: int, kernel: tuple[int, ...], bias: bool = True, **options: Any
) -> Sample:
    weight = (x[1], k // options.get("groups", 1), *kernel)
    return Sample((v.normal(*x), v.normal(*weight), v.normal(k) if bias else None), options)


def _conv_transpose(name: str, rows: list[tuple[Any, ...]]) -> list[Sample]:
    v = Values(name)
    return [conv_transpose_sample(v, x, k, f, bias=i % 4 != 3, **o) for i, (x, k, f, o) in enumerate(rows)]


def conv_transpose1d() -> list[Sample]:
    rows: list[tuple[Any, ...]] = [
        ((1, 1, 1), 1, (1,), {}),
        ((2, 3, 5), 4, (3,), {}),
        ((0, 3, 8), 4, (3,), {"stride": 2}),
        ((2, 4, 17), 6, (4,), {"stride": 2, "padding": 1}),
        ((1, 4, 33), 8, (5,), {"groups": 4, "padding": 2}),
        ((2, 2, 9), 3, (2,), {"stride": 5, "output_padding": 4}),
        ((2, 2, 7), 3, (2,), {"dilation": 4, "output_padding": 3, "padding": ((0, 2),)}),
        ((2, 70, 20), 65, (3,), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((1, 3, 1), 2, (3,), {"stride": 40, "padding": 1}),
        ((1, 2, 6), 2, (3,), {"padding": 3}),
    ]
    return _conv_transpose("conv_transpose1d", rows)


def conv_transpose2d() -> list[Sample]:
    rows: list[tuple[Any, ...]] = [
        ((1, 1, 1, 1), 1, (1, 1), {}),
        ((0, 2, 4, 4), 3, (3, 3), {"padding": 1}),
        ((2, 3, 8, 8), 4, (2, 2), {"stride": 2}),
        ((2, 3, 8, 9), 4, (3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((1, 16, 7, 7), 16, (4, 4), {"stride": 2, "padding": 1}),
        ((2, 17, 6, 18), 33, (3, 3), {"padding": 1}),
        ((1, 4, 5, 6), 6, (1, 2), {"stride": (3, 2), "groups": 2}),
        ((2, 6, 5, 6), 6, (3, 3), {"groups": 6, "stride": 2, "padding": ((0, 1), (1, 2))}),
        ((1, 5, 4, 9), 7, (3, 2), {"dilation": (2, 3), "stride": (1, 2), "output_padding": (1, 2)}),
        ((2, 64, 4, 4), 32, (4, 4), {"stride": 2, "padding": 1}),
        ((1, 2, 3, 40), 3, (2, 3), {"stride": (7, 1), "padding": (0, 3)}),
        # Windows side by side: whole tiles of columns and a part; groups; runs of four.
        ((2, 17, 9, 8), 20, (2, 2), {"stride": 2}),
        ((3, 6, 5, 7), 22, (1, 4), {"stride": (1, 4), "groups": 2}),
    ]
    samples = _conv_transpose("conv_transpose2d", rows)
    v = Values("conv_transpose2d special")
    x = v.normal(2, 3, 9, 9)
    x[0, 1, 4, 5], x[1, 2, 0, 0], x[1, 0, 8, 8] = np.nan, np.inf, 1e-40
    options = {"stride": 2, "padding": 1}
    return [*samples, Sample((x, v.positive(3, 5, 3, 3), v.normal(5)), options, special=True)]


def conv_transpose3d() -> list[Sample]:
    rows: list[tuple[Any, ...]] = [
        ((1, 1, 1, 1, 1), 1, (1, 1, 1), {}),
        ((0, 2, 2, 3, 3), 3, (3, 3, 3), {}),
        ((2, 3, 2, 4, 5), 4, (2, 2, 2), {"stride": 2}),
        ((1, 8, 3, 4, 9), 6, (3, 3, 3), {"stride": (1, 2, 2), "padding": 1, "output_padding": (0, 1, 1)}),
        ((1, 4, 3, 5, 4), 6, (2, 1, 3), {"groups": 2, "dilation": (2, 1, 3), "padding": ((1, 0), (0, 0), (2, 1))}),
        ((2, 3, 2, 2, 2), 3, (1, 2, 1), {"stride": (3, 2, 4), "groups": 3}),
        ((1, 16, 9, 30, 48), 2, (3, 1, 2), {"stride": (2, 1, 2), "padding": (1, 0, 0)}),  # goes block by block
        ((2, 5, 3, 4, 5), 8, (2, 2, 2), {"stride": 2}),
    ]
    return _conv_transpose("conv_transpose3d", rows)
