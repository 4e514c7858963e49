"""Winograd's convolution sums transformed values: how much of the accuracy that costs, and what isn't finite."""

from functools import cache

import numpy as np
import pytest

import fastnn as fnn
import harness
from fastnn import checks
from fastnn import functional as F
from harness import needs_native

pytestmark = needs_native


def in_order(x, weight):
    """The convolution, padding 1, with each sum taken in order of channels and taps, rounded in x's type at each step."""
    y = np.zeros((x.shape[0], weight.shape[0], *x.shape[2:]), x.dtype)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for c in range(x.shape[1]):
        for r in range(3):
            for s in range(3):
                part = padded[:, None, c, r : r + x.shape[2], s : s + x.shape[3]]
                y += part * weight[None, :, c, r, s, None, None]
    return y


@cache
def drawn_with_sums_in_order(c, k, size, positive):
    """Input and weight, and their convolution in order in float64 and float32, once for all instruction sets."""
    rng = np.random.default_rng(c)
    x = rng.standard_normal((2, c, size, size), dtype=np.float32)
    weight = rng.standard_normal((k, c, 3, 3), dtype=np.float32)
    if positive:  # as after ReLU: sums don't cancel, but their transforms do
        x = np.maximum(x, 0)
    return x, weight, in_order(x.astype(np.float64), weight.astype(np.float64)), in_order(x, weight)


@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
@pytest.mark.parametrize(("c", "k", "size"), [(16, 32, 28), (64, 64, 20), (192, 170, 12)])
@pytest.mark.parametrize("positive", [False, True])
def test_accuracy_is_that_of_sums_in_order_within_a_small_factor(isa, c, k, size, positive, native):
    native.set_isa(isa)
    x, weight, truth, ordered = drawn_with_sums_in_order(c, k, size, positive)
    g = checks.conv("conv2d", 2, x, weight, None, 1, 1, 1, 1)[0]
    assert native.conv_paths(g, False)[0] == ("winograd by rows" if c * k * 36 > 1 << 20 else "winograd")
    y = F.conv2d(x, weight, padding=1)
    norm = np.linalg.norm
    assert norm(y - truth) <= 3 * norm(ordered - truth)
    assert abs(y - truth).max() <= 4 * abs(ordered - truth).max()
    assert norm(y - truth) <= 2e-6 * norm(truth)


@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (2, 5), (3, 3), (4, 2), (4, 4), (5, 8), (6, 3)])
def test_small_images_are_as_accurate_as_large_ones(isa, size, native):
    """Transforms of a tile of padding and a few numbers would have ten times the error of plain sums."""
    native.set_isa(isa)
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    def results(dy, x, weight, padding):
        dx, dweight, _ = F.conv2d_backward(dy, x, weight, padding=padding)
        return F.conv2d(x, weight, padding=padding), dx, dweight

    for padding in range(max(0, (4 - min(size)) // 2), 3):
        out = [n + 2 * padding - 2 for n in size]
        given = normal(16, 32, *out), normal(16, 32, *size), normal(32, 32, 3, 3)
        with fnn.use_backend("numpy"):
            truth = results(*(a.astype(np.float64) for a in given), padding)
        actual = results(*given, padding)
        fnn.set_winograd(False)
        plain = results(*given, padding)
        fnn.set_winograd(True)
        for a, p, t in zip(actual, plain, truth, strict=True):
            assert np.linalg.norm(a - t) <= 4 * np.linalg.norm(p - t)


@cache
def large_with_sums(c, k):
    """Sums of these stay below the largest number, sums of transformed values do not."""
    rng = np.random.default_rng(c)
    x, weight = rng.random((2, c, 12, 12)), rng.random((k, c, 3, 3))
    x *= 3e38 / c / 9
    return x, weight, in_order(x, weight)


@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
@pytest.mark.parametrize(("c", "k"), [(32, 32), (192, 170)])
def test_what_only_transforms_cannot_hold_is_convolved_with_all_taps(isa, c, k, native):
    native.set_isa(isa)
    x, weight, truth = large_with_sums(c, k)
    y = F.conv2d(x.astype(np.float32), weight.astype(np.float32), padding=1)
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y, truth, rtol=1e-5)
    dweight = np.empty((k, c, 3, 3), np.float32)
    dy = np.full(y.shape, 1e-2, np.float32)
    g = checks.conv("conv2d", 2, x.astype(np.float32), weight.astype(np.float32), None, 1, 1, 1, 1)[0]
    native.conv_backward_weight(g, dy, x.astype(np.float32), dweight)
    assert np.isfinite(dweight).all()


def test_it_can_be_refused(native):
    rng = np.random.default_rng(0)
    x, weight, dy = (rng.standard_normal(s, np.float32) for s in ((2, 32, 24, 23), (40, 32, 3, 3), (2, 40, 24, 23)))
    g = checks.conv("conv2d", 2, x, weight, None, 1, 1, 1, 1)[0]

    def results():
        return F.conv2d(x, weight, padding=1), *F.conv2d_backward(dy, x, weight, padding=1)[:2]

    by_tiles = results()
    try:
        fnn.set_winograd(False)
        assert not fnn.get_winograd()
        assert native.conv_paths(g, False) == ("channels", "channels")
        assert native.conv_data_paths(g, False) == {"channels"}
        by_taps = results()
    finally:
        fnn.set_winograd(True)
    assert native.conv_paths(g, False) == ("winograd", "winograd")
    for a, b in zip(by_tiles, by_taps, strict=True):
        assert (a != b).any()
        np.testing.assert_allclose(a, b, atol=1e-3)
    with pytest.raises(TypeError, match="set_winograd: wanted must be a bool, got int"):
        fnn.set_winograd(0)


@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
def test_a_weight_gradient_of_few_long_lines_reads_nothing_that_it_has_not_written(isa, native):
    """One line of 512 tiles, which would do for two blocks."""
    native.set_isa(isa)
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (1, 16, 4, 2048)).astype(np.float32)
    dy = rng.integers(-2, 3, (1, 8, 4, 2048)).astype(np.float32)
    weight = np.zeros((8, 16, 3, 3), np.float32)
    g = checks.conv("conv2d", 2, x, weight, None, 1, 1, 1, 1)[0]
    assert native.conv_paths(g, False)[1] == "winograd"
    sizes = np.unique(np.geomspace(2**12, 2**19, 200).astype(int))
    blocks = [native.empty((int(size) // 4,), np.dtype(np.float32)) for size in sizes]
    for block in blocks:  # the workspace is one of these, given out again
        block.fill(1e20)
    del block, blocks
    dweight = F.conv2d_backward(dy, x, weight, padding=1)[1]
    with fnn.use_backend("numpy"):
        exact = F.conv2d_backward(dy, x, weight, padding=1)[1]
    assert abs(dweight - exact).max() <= 4 * np.finfo(np.float32).eps * 4 * dy[0, 0].size  # products are at most 4


def test_many_groups_without_channels_divide_nothing_by_zero(native):
    g = checks.Conv(1, 0, 0, 400, (1, 4, 4), (1, 4, 4), (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1))
    none = np.empty(0, np.float32)
    native.conv_backward_weight(g, none, none, none)
    assert native.conv_paths(g, False)[1] != "winograd"


def results(arrays):
    x, weight, bias, dy = (arrays[name] for name in ("x", "weight", "bias", "dy"))
    return F.conv2d(x, weight, bias, padding=1), F.conv2d_backward(dy, x, weight, padding=1)[1]


@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
@pytest.mark.parametrize(("n", "c", "k", "size"), [(3, 32, 40, 14), (1, 192, 160, 12)], ids=["blocks", "rows"])
def test_what_is_not_finite_stays_where_it_is_with_all_taps(isa, n, c, k, size, native):
    native.set_isa(isa)
    rng = np.random.default_rng(c)
    shapes = {"x": (n, c, size, size), "weight": (k, c, 3, 3), "bias": (k,), "dy": (n, k, size, size)}
    arrays = {name: rng.standard_normal(shape, np.float32) * np.float32(2**-20) for name, shape in shapes.items()}
    g = checks.conv("conv2d", 2, arrays["x"], arrays["weight"], None, 1, 1, 1, 1)[0]
    many = c * k * 36 > 1 << 20
    assert native.conv_paths(g, False) == (
        ("winograd by rows", "winograd together") if many else ("winograd", "winograd")
    )
    largest = np.finfo(np.float32).max / 3  # a sum of the transform overflows, the products with all taps don't
    for name, values in arrays.items():
        for value in (np.nan, -np.inf, largest):
            changed = arrays | {name: values.copy()}
            changed[name].reshape(-1)[values.size // 2] = value
            with fnn.use_backend("numpy"), np.errstate(all="ignore"):
                expected = results(changed)
            for actual, truth in zip(results(changed), expected, strict=True):
                there = ~np.isfinite(truth)
                np.testing.assert_array_equal(~np.isfinite(actual), there)
                np.testing.assert_array_equal(actual[there], truth[there])


@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
@pytest.mark.parametrize("scales", [(1.0, 1e-25), (1e-19, 1e-24), (1e20, 1e25), (1e21, 1e30)])
def test_parts_of_other_sizes_keep_their_digits_whatever_their_squares_are(isa, scales, native):
    native.set_isa(isa)
    rng = np.random.default_rng(7)
    x = rng.standard_normal((2, 32, 32, 32)).astype(np.float32)
    weight = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
    x *= np.where(np.arange(32) < 10, np.float32(scales[1]), np.float32(scales[0]))
    y = F.conv2d(x, weight, padding=1)
    truth = in_order(x.astype(np.float64), weight.astype(np.float64))
    for part in (slice(0, 9), slice(11, 32)):  # whose taps have one size each
        np.testing.assert_allclose(y[..., part], truth[..., part], rtol=0, atol=1e-5 * abs(truth[..., part]).max())


@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
def test_small_gradients_beside_smaller_ones(isa, native):
    native.set_isa(isa)
    rng = np.random.default_rng(8)
    weight = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
    dy = rng.standard_normal((2, 32, 32, 32)).astype(np.float32)
    dy *= np.where(np.arange(32) < 10, np.float32(1e-20), np.float32(1e-14))
    x = fnn.tensor(rng.standard_normal((2, 32, 32, 32)).astype(np.float32), requires_grad=True)
    F.conv2d(x, weight, padding=1).backward(dy)
    turned = np.ascontiguousarray(weight.transpose(1, 0, 2, 3)[..., ::-1, ::-1]).astype(np.float64)
    truth = in_order(dy.astype(np.float64), turned)
    np.testing.assert_allclose(x.grad[..., :9], truth[..., :9], rtol=0, atol=1e-5 * abs(truth[..., :9]).max())
