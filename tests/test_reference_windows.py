"""Convolution and pooling of the NumPy backend against loops over single elements, in float64 and on small shapes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from definitions import ALL, close, linear_adjoint
from fastnn import checks
from fastnn.backend import reference
from fastnn.checks.geometry import adaptive_geometry, conv_geometry, conv_transpose_geometry, pool_geometry


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def window(g, o):
    """(tap, position) for each tap of window ``o``, position None where it lies in the padding."""
    for tap, k in enumerate(itertools.product(*map(range, g.kernel))):
        at = tuple(i * s - p + t * d for i, s, p, t, d in zip(o, g.stride, g.pad, k, g.dilation, strict=True))
        yield tap, k, at if all(0 <= a < n for a, n in zip(at, g.size, strict=True)) else None


def outputs(g):
    return itertools.product(*map(range, g.out))


# ---- convolution ----------------------------------------------------------------------------------------------------

CONVOLUTIONS = [
    ((2, 3, 5), (4, 3, 3), 1, 0, 1, 1),
    ((2, 4, 6), (6, 2, 2), 2, ((0, 3),), 2, 2),
    ((1, 2, 5, 4), (3, 2, 3, 2), (2, 1), ((1, 0), (2, 1)), 1, 1),
    ((1, 3, 3, 4), (3, 1, 3, 2), 1, "same", (1, 2), 3),
    ((1, 2, 4, 3), (2, 1, 2, 2), 3, "full", 1, 2),
    ((1, 1, 2, 2), (1, 1, 1, 1), 5, 4, 1, 1),
    ((0, 2, 4, 4), (3, 2, 3, 3), 1, 1, 1, 1),
    ((1, 2, 3, 4, 4), (2, 2, 2, 3, 1), (1, 2, 1), 1, (2, 1, 1), 1),
]


def conv_by_definition(g, x, weight):
    x, weight = x.reshape(g.n, g.c, *g.size), weight.reshape(g.k, -1, *g.kernel)
    y = np.zeros((g.n, g.k, *g.out))
    per_group, filters = g.c // g.groups, g.k // g.groups
    for n, k, o in itertools.product(range(g.n), range(g.k), outputs(g)):
        for _, tap, at in window(g, o):
            if at is not None:
                for c in range(per_group):
                    y[(n, k, *o)] += weight[(k, c, *tap)] * x[(n, k // filters * per_group + c, *at)]
    return y


@pytest.mark.parametrize(("x", "weight", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
def test_conv(x, weight, stride, padding, dilation, groups, rng):
    rank = len(x) - 2
    g = conv_geometry(f"conv{rank}d", rank, x, weight, stride, padding, dilation, groups)
    x, weight, bias = rng.standard_normal(x), rng.standard_normal(weight), rng.standard_normal(g.k)
    shape = (g.n, g.k, *g.out[3 - rank :])
    expected = conv_by_definition(g, x, weight).reshape(shape)
    close(reference.conv_forward(g, x, weight, None), expected)
    close(reference.conv_forward(g, x, weight, bias), expected + bias.reshape(-1, *[1] * rank))

    dy = rng.standard_normal(shape)
    dx, dweight, dbias = reference.conv_backward(g, dy, x, weight, ALL)
    close(dx, linear_adjoint(lambda e: conv_by_definition(g, e, weight).reshape(shape), x, dy))
    close(dweight, linear_adjoint(lambda e: conv_by_definition(g, x, e).reshape(shape), weight, dy))
    close(dbias, dy.sum((0, *range(2, 2 + rank))))
    for i in range(3):
        only = reference.conv_backward(g, dy, x, weight, tuple(j == i for j in range(3)))
        assert [v is not None for v in only] == [j == i for j in range(3)]


# ---- transposed convolution -----------------------------------------------------------------------------------------

TRANSPOSED = [
    ((2, 3, 5), (3, 4, 3), 1, 0, 0, 1, 1),
    ((2, 4, 6), (4, 3, 2), 3, ((0, 3),), 2, 2, 2),
    ((1, 2, 3, 4), (2, 3, 3, 2), (2, 1), ((1, 0), (2, 1)), (1, 0), 1, 1),
    ((1, 3, 2, 3), (3, 1, 3, 2), (3, 2), 1, (2, 2), 3, (1, 4)),
    ((1, 2, 1, 1), (2, 2, 1, 1), 5, 0, 4, 2, 1),
    ((0, 2, 4, 4), (2, 3, 3, 3), 1, 1, 0, 1, 1),
    ((1, 2, 2, 3, 2), (2, 1, 2, 3, 1), (1, 2, 3), 1, (0, 1, 2), 2, (2, 1, 1)),
]


def conv_transpose_by_definition(x, weight, stride, padding, output_padding, groups, dilation):
    """Every input adds its multiple of the filters to an array that is then cropped."""
    rank = x.ndim - 2
    stride, output_padding, dilation = (
        v if isinstance(v, tuple) else (v,) * rank for v in (stride, output_padding, dilation)
    )
    sides = [
        p if isinstance(p, tuple) else (p, p) for p in (padding if isinstance(padding, tuple) else (padding,) * rank)
    ]
    n, c, *size = x.shape
    filters = weight.shape[1]
    extent = [
        (w - 1) * s + d * (f - 1) + extra + 1
        for w, s, d, f, extra in zip(size, stride, dilation, weight.shape[2:], output_padding, strict=True)
    ]
    y = np.zeros((n, filters * groups, *extent))
    for i, j, k in itertools.product(range(n), range(c), range(filters)):
        for at in itertools.product(*map(range, size)):
            for tap in itertools.product(*map(range, weight.shape[2:])):
                to = tuple(o * s + t * d for o, s, t, d in zip(at, stride, tap, dilation, strict=True))
                y[(i, j // (c // groups) * filters + k, *to)] += weight[(j, k, *tap)] * x[(i, j, *at)]
    return y[(..., *(slice(low, e - high) for e, (low, high) in zip(extent, sides, strict=True)))]


@pytest.mark.parametrize(("x", "weight", "stride", "padding", "output_padding", "groups", "dilation"), TRANSPOSED)
def test_conv_transpose(x, weight, stride, padding, output_padding, groups, dilation, rng):
    rank, rest = len(x) - 2, (stride, padding, output_padding, groups, dilation)
    g = conv_transpose_geometry(f"conv_transpose{rank}d", rank, x, weight, *rest)
    x, weight, bias = rng.standard_normal(x), rng.standard_normal(weight), rng.standard_normal(g.c)
    expected = conv_transpose_by_definition(x, weight, *rest)
    close(reference.conv_transpose_forward(g, x, weight, None), expected)
    close(reference.conv_transpose_forward(g, x, weight, bias), expected + bias.reshape(-1, *[1] * rank))

    dy = rng.standard_normal(expected.shape)
    dx, dweight, dbias = reference.conv_transpose_backward(g, dy, x, weight, ALL)
    close(dx, linear_adjoint(lambda e: conv_transpose_by_definition(e, weight, *rest), x, dy))
    close(dweight, linear_adjoint(lambda e: conv_transpose_by_definition(x, e, *rest), weight, dy))
    close(dbias, dy.sum((0, *range(2, 2 + rank))))
    for i in range(3):
        only = reference.conv_transpose_backward(g, dy, x, weight, tuple(j == i for j in range(3)))
        assert [v is not None for v in only] == [j == i for j in range(3)]


# ---- pooling --------------------------------------------------------------------------------------------------------

POOLS = [
    ((2, 3, 7), 3, 2, 0, 1, False),
    ((1, 2, 7), 3, 2, 1, 1, True),
    ((1, 2, 6), 2, 4, ((1, 0),), 3, True),
    ((1, 2, 4, 5), (2, 3), (2, 1), ((1, 0), (2, 1)), 1, False),
    ((1, 2, 5, 4), 3, 2, 1, (2, 1), True),
    ((1, 1, 20, 3), (18, 3), 1, 0, 1, False),
    ((1, 1, 1, 260), (1, 257), 3, 0, 1, False),
    ((0, 2, 4, 4), 2, 2, 0, 1, False),
    ((1, 1, 3, 3, 4), (2, 3, 2), (1, 1, 2), (1, 1, 0), 1, True),
]

by_pool = pytest.mark.parametrize(("x", "kernel", "stride", "padding", "dilation", "ceil_mode"), POOLS)


def pool(op, x, kernel, stride, padding, dilation, ceil_mode):
    return pool_geometry(f"{op}{len(x) - 2}d", len(x) - 2, x, kernel, stride, padding, dilation, ceil_mode)


@by_pool
def test_max_pool(x, kernel, stride, padding, dilation, ceil_mode, rng):
    g = pool("max_pool", x, kernel, stride, padding, dilation, ceil_mode)
    x = rng.integers(-3, 3, x).astype(float)  # ties
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.1] = -np.inf
    y, index = reference.max_pool_forward(g, x, True)
    assert index.dtype == (np.uint8 if math.prod(g.kernel) <= 256 else np.int32)
    dy = rng.standard_normal(y.shape)
    dx = np.zeros((g.n, g.c, *g.size))
    expected, taps = np.empty((g.n, g.c, *g.out)), np.empty((g.n, g.c, *g.out), int)
    flat = x.reshape(g.n, g.c, *g.size)
    for n, c, o in itertools.product(range(g.n), range(g.c), outputs(g)):
        inside = [(flat[(n, c, *at)], tap, at) for tap, _, at in window(g, o) if at is not None]
        nans = [v for v in inside if np.isnan(v[0])]
        value, tap, at = nans[0] if nans else max(inside, key=lambda v: v[0])  # the first of equals
        expected[(n, c, *o)], taps[(n, c, *o)] = value, tap
        dx[(n, c, *at)] += dy.reshape(expected.shape)[(n, c, *o)]
    close(y, expected.reshape(y.shape))
    assert (index == taps.reshape(y.shape)).all()
    close(reference.max_pool_backward(g, dy, index), dx.reshape(x.shape))
    assert reference.max_pool_forward(g, x, False)[1] is None

    positions = checks.pool_positions(g, index)
    taken = np.take_along_axis(x.reshape(g.n, g.c, math.prod(g.size)), positions.reshape(g.n, g.c, math.prod(g.out)), 2)
    np.testing.assert_array_equal(taken.reshape(y.shape), y)
    found, legal = checks.pool_taps(g, positions)
    assert legal.all()
    assert (found == index).all()


@by_pool
@pytest.mark.parametrize("include_pad", [False, True])
def test_avg_pool(x, kernel, stride, padding, dilation, ceil_mode, include_pad, rng):
    g = pool("avg_pool", x, kernel, stride, padding, dilation, ceil_mode)
    x = rng.standard_normal(x)

    def definition(x):
        y = np.empty((g.n, g.c, *g.out))
        x = x.reshape(g.n, g.c, *g.size)
        for n, c, o in itertools.product(range(g.n), range(g.c), outputs(g)):
            inside = [x[(n, c, *at)] for _, _, at in window(g, o) if at is not None]
            count = len(inside)
            if include_pad:  # taps before the end of the padding that was asked for
                ends = [n + p for n, p in zip(g.size, g.pad_end, strict=True)]
                starts = [i * s - p for i, s, p in zip(o, g.stride, g.pad, strict=True)]
                count = math.prod(
                    sum(start + t * d < end for t in range(k))
                    for start, end, k, d in zip(starts, ends, g.kernel, g.dilation, strict=True)
                )
            y[(n, c, *o)] = sum(inside) / count
        return y.reshape(g.n, g.c, *g.out[5 - ndim :])

    ndim = x.ndim
    y = reference.avg_pool_forward(g, x, include_pad)
    close(y, definition(x))
    dy = rng.standard_normal(y.shape)
    close(reference.avg_pool_backward(g, dy, include_pad), linear_adjoint(definition, x, dy))


@by_pool
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.5])
def test_lp_pool(x, kernel, stride, padding, dilation, ceil_mode, p, rng):
    g = pool("lp_pool", x, kernel, stride, padding, dilation, ceil_mode)
    x = rng.standard_normal(x)
    x[rng.random(x.shape) < 0.3] = 0
    flat = x.reshape(g.n, g.c, *g.size)
    expected, dx = np.empty((g.n, g.c, *g.out)), np.zeros_like(flat)
    dy = rng.standard_normal(expected.shape)
    for n, c, o in itertools.product(range(g.n), range(g.c), outputs(g)):
        at = [(n, c, *a) for _, _, a in window(g, o) if a is not None]
        y = expected[(n, c, *o)] = sum(abs(flat[i]) ** p for i in at) ** (1 / p)
        for i in at:
            if flat[i]:
                dx[i] += dy[(n, c, *o)] * np.sign(flat[i]) * abs(flat[i]) ** (p - 1) * y ** (1 - p)
    shape = (g.n, g.c, *g.out[5 - x.ndim :])
    y = reference.lp_pool_forward(g, x, p)
    close(y, expected.reshape(shape))
    close(reference.lp_pool_backward(g, dy.reshape(shape), x, y, p), dx.reshape(x.shape))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_lp_pool_neither_overflows_nor_vanishes(scale):
    g = pool_geometry("lp_pool1d", 1, (1, 1, 2), 2, 2, 0, 1, False)
    x = np.array([[[3.0, -4.0]]]) * scale
    y = reference.lp_pool_forward(g, x, 2.0)
    close(y / scale, [[[5.0]]])
    close(reference.lp_pool_backward(g, np.ones((1, 1, 1)), x, y, 2.0), [[[0.6, -0.8]]])


@pytest.mark.parametrize(
    ("x", "out"),
    [((2, 3, 7), (3,)), ((1, 2, 3), (5,)), ((1, 2, 5, 6), (2, None)), ((2, 1, 3, 4), (7, 1)), ((0, 2, 3, 3), (2, 2)),
     ((1, 2, 3, 4, 5), (2, 3, 2))],
)  # fmt: skip
def test_adaptive_pools(x, out, rng):
    g = adaptive_geometry("adaptive_pool", len(x) - 2, x, out)
    x = rng.integers(-3, 3, x).astype(float)
    flat = x.reshape(g.n, g.c, *g.size)
    shape = (g.n, g.c, *g.out[5 - x.ndim :])
    mean, top, where = (np.empty((g.n, g.c, *g.out), t) for t in (float, float, int))
    dy = rng.standard_normal(mean.shape)
    dmean, dtop = np.zeros_like(flat), np.zeros_like(flat)
    for n, c, o in itertools.product(range(g.n), range(g.c), outputs(g)):
        box = [
            range(math.floor(i * size / k), math.ceil((i + 1) * size / k))
            for i, size, k in zip(o, g.size, g.out, strict=True)
        ]
        at = list(itertools.product(*box))
        best = max(at, key=lambda a: flat[(n, c, *a)])
        mean[(n, c, *o)], top[(n, c, *o)] = np.mean([flat[(n, c, *a)] for a in at]), flat[(n, c, *best)]
        where[(n, c, *o)] = np.ravel_multi_index(best, g.size)
        dtop[(n, c, *best)] += dy[(n, c, *o)]
        for a in at:
            dmean[(n, c, *a)] += dy[(n, c, *o)] / len(at)
    dy = dy.reshape(shape)
    close(reference.adaptive_avg_pool_forward(g, x), mean.reshape(shape))
    close(reference.adaptive_avg_pool_backward(g, dy), dmean.reshape(x.shape))
    y, index = reference.adaptive_max_pool_forward(g, x)
    close(y, top.reshape(shape))
    close(index, where.reshape(shape), np.int32)
    close(reference.adaptive_max_pool_backward(g, dy, index), dtop.reshape(x.shape))


def test_adaptive_max_pool_takes_the_first_nan():
    g = adaptive_geometry("adaptive_max_pool2d", 2, (1, 1, 2, 3), (1, 1))
    x = np.array([[[[1.0, 5.0, 2.0], [np.nan, np.nan, np.inf]]]])
    y, index = reference.adaptive_max_pool_forward(g, x)
    assert np.isnan(y.item())
    assert index.item() == 3
