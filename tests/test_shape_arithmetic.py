"""Sizes of outputs and padding of convolution and pooling, against their definition."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastnn import checks
from fastnn.checks.geometry import conv_geometry, pool_geometry
from refused_calls import ones

small = st.integers(1, 9)
pads = st.integers(0, 5)


def windows(size, kernel, stride, dilation, low, high, ceil_mode=False):
    """Starts of the windows, counted one by one, in coordinates of the image."""
    reach = dilation * (kernel - 1) + 1
    overhang = stride - 1 if ceil_mode else 0
    starts = range(-low, size + high + overhang - reach + 1, stride)
    return [s for s in starts if not ceil_mode or s < size]


@given(small, small, small, small, pads, pads)
def test_conv_output_size(size, kernel, stride, dilation, low, high):
    expected = windows(size, kernel, stride, dilation, low, high)
    arguments = ("conv1d", 1, (2, 3, size), (5, 3, kernel), stride, ((low, high),), dilation, 1)
    if not expected:
        with pytest.raises(ValueError, match="larger than x"):
            conv_geometry(*arguments)
        return
    g = conv_geometry(*arguments)
    assert g.out == (1, 1, len(expected))
    starts = [o * g.stride[2] - g.pad[2] for o in range(g.out[2])]
    assert starts == expected
    assert g.dilation[2] * (kernel - 1) == dilation * (kernel - 1)


@given(st.integers(1, 200), small, small, small)
def test_same_and_full_padding(size, kernel, stride, dilation):
    x, weight = (1, 1, size), (1, 1, kernel)
    g = conv_geometry("conv1d", 1, x, weight, stride, "same", dilation, 1)
    assert g.out[2] == -(-size // stride)
    total = max((g.out[2] - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    assert g.pad[2] == total // 2
    assert conv_geometry("conv1d", 1, x, weight, 1, "full", dilation, 1).out[2] == size + dilation * (kernel - 1)


@given(small, small, small, small, pads, pads, st.booleans())
def test_pool_output_size(size, kernel, stride, dilation, low, high, ceil_mode):
    expected = windows(size, kernel, stride, dilation, low, high, ceil_mode)
    touching = all(any(0 <= s + k * dilation < size for k in range(kernel)) for s in expected)
    arguments = ("max_pool1d", 1, (2, 3, size), kernel, stride, ((low, high),), dilation, ceil_mode)
    if not expected or not touching:
        with pytest.raises(ValueError, match=r"larger than x|outside x"):
            pool_geometry(*arguments)
        return
    g = pool_geometry(*arguments)
    assert [o * g.stride[2] - g.pad[2] for o in range(g.out[2])] == expected
    assert g.pad_end[2] == high


@example(0, 2**62, 2**62 - 4, 3)  # ceil_mode lets a window overhang by almost a stride
@given(st.integers(0, 2**70), st.integers(1, 2**70), st.integers(1, 2**70), st.integers(1, 2**70))
def test_numbers_of_a_geometry_are_bounded(padding, stride, dilation, kernel):
    limit = 2**31
    for make in (
        lambda: conv_geometry("conv2d", 2, (1, 1, 9, 9), (1, 1, 3, 1), stride, padding, dilation, 1),
        lambda: pool_geometry("max_pool2d", 2, (1, 1, 9, 9), kernel, stride, padding, dilation, True),
    ):
        try:
            g = make()
        except ValueError:
            continue
        for triple in (g.out, g.kernel, g.stride, g.pad, g.dilation):
            assert all(0 <= v < limit for v in triple)
        for size, out, k, s, p, d in zip(g.size, g.out, g.kernel, g.stride, g.pad, g.dilation, strict=True):
            assert (out - 1) * s + (k - 1) * d < 2 * limit
            assert -p < size


def test_geometry_of_fewer_axes_has_ones_in_front():
    g = checks.conv("conv1d", 1, ones(2, 4, 9), ones(6, 2, 3), None, 2, ((1, 2),), 3, 2)[0]
    assert g == checks.Conv(2, 4, 6, 2, (1, 1, 9), (1, 1, 3), (1, 1, 3), (1, 1, 2), (0, 0, 1), (1, 1, 3))
