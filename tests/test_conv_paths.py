"""Every way through a convolution is taken by samples of the op table, on every instruction set: so parity, the same bits
for every thread count, forward mode and the comparison with PyTorch hold for each."""

import numpy as np
import pytest

import harness
import samples_conv
from fastnn import checks
from harness import needs_native

pytestmark = needs_native


def paths(native, rank, samples, dtype):
    """The ways that samples go, forward and for the weight gradient."""
    found = set()
    for s in samples:
        x, w, b = s.cast(dtype).arrays
        options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | s.options
        g = checks.conv("conv", rank, x, w, b, **options)[0]
        if x.size:
            found.add(native.conv_paths(g, dtype == np.float64))
    return found


def lanes(isa, dtype):
    return {"generic": 16, "avx2": 32, "avx512": 64}[isa] // np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", harness.DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
def test_all_are_taken(isa, dtype, native):
    native.set_isa(isa)
    found = paths(native, 2, samples_conv.conv2d(), dtype) | paths(native, 3, samples_conv.conv3d(), dtype)
    # With two or four lanes no row is too narrow to be read in place, and a copy too large for that is too large for a test.
    some = {"packed"} if lanes(isa, dtype) > 4 else set()
    some |= {"winograd", "winograd by rows"} if lanes(isa, dtype) >= 4 else set()
    assert {forward for forward, _ in found} >= {"channels", "depthwise", "direct", "lanes", "one tap"} | some
    packed = {"packed"} if lanes(isa, dtype) > 2 else set()
    assert {weight for _, weight in found} >= {
        "channels",
        "depthwise",
        "direct",
        "winograd",
        "winograd together",
    } | packed


def data_paths(native, rank, samples, dtype, strided):
    """The ways that the data gradients of samples go, or only those with a stride along the width: its phases are not dense."""
    found = set()
    for s in samples:
        x, w, b = s.cast(dtype).arrays
        options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | s.options
        g = checks.conv("conv", rank, x, w, b, **options)[0]
        if x.size and (not strided or g.stride[2] > 1):
            found |= native.conv_data_paths(g, dtype == np.float64)
    return found


@pytest.mark.parametrize("dtype", harness.DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
def test_all_are_taken_by_data_gradients(isa, dtype, native):
    native.set_isa(isa)
    found = data_paths(native, 2, samples_conv.conv2d(), dtype, False)
    several = {"lanes", "winograd", "winograd by rows"} if lanes(isa, dtype) > 2 else set()
    assert found >= {"channels", "depthwise", "direct"} | several
    strided = data_paths(native, 2, samples_conv.conv2d(), dtype, True)
    assert strided >= {"channels", "depthwise", "direct"}
    assert "lanes" not in strided


@pytest.mark.parametrize("dtype", harness.DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("isa", harness.ISAS or ["none"])
def test_few_windows_side_by_side_are_one_product(isa, dtype, native):
    native.set_isa(isa)

    def ways(x, weight, stride):
        g = checks.conv(
            "conv2d", 2, np.empty(x, dtype), np.empty(weight, dtype), None, stride, 0, 1, x[1] // weight[1]
        )[0]
        return native.conv_data_paths(g, dtype == np.float64)

    assert ways((2, 20, 18, 16), (17, 20, 2, 2), 2) == {"apart"}
    assert ways((3, 22, 5, 28), (6, 11, 1, 4), (1, 4)) == {"apart"}
    assert "apart" not in ways((2, 20, 19, 16), (17, 20, 2, 2), 2)  # a row that no window holds
    assert ways((3, 6, 4, 4), (6, 1, 2, 2), 2) == {"depthwise"}


def test_a_volume_goes_in_slabs(native):
    g = checks.conv("conv3d", 3, np.ones((1, 32, 8, 28, 28), "f"), np.ones((4, 32, 3, 3, 3), "f"), None, 1, 1, 1, 1)[0]
    native.set_isa(harness.ISAS[-1])
    assert native.conv_paths(g, False)[0] == "direct by blocks"


@pytest.mark.parametrize(
    ("shape", "kernel", "forward", "weight"),
    [
        ((32, 16, 4, 4), (32, 16, 3, 3), "lanes", "winograd"),
        ((32, 1, 8, 8), (16, 1, 3, 3), "lanes", "direct"),
        ((32, 64, 8, 8), (64, 64, 3, 3), "winograd", "winograd"),
        ((64, 3, 32, 32), (64, 3, 3, 3), "direct", "direct"),
        ((32, 256, 14, 14), (256, 256, 3, 3), "winograd by rows", "winograd together"),
        ((32, 256, 14, 14), (256, 256, 2, 2), "channels", "channels"),
        ((32, 512, 7, 7), (512, 512, 3, 3), "winograd by rows", "winograd together"),
        ((1, 4, 4, 4), (4, 4, 3, 3), "direct", "packed"),
    ],
)
def test_the_choice_for_usual_shapes(shape, kernel, forward, weight, native):
    if harness.ISAS[-1] != "avx512":
        pytest.skip("the choices of AVX-512")
    native.set_isa("avx512")
    g = checks.conv("conv2d", 2, np.ones(shape, "f"), np.ones(kernel, "f"), None, 1, 1, 1, 1)[0]
    assert native.conv_paths(g, False) == (forward, weight)


@pytest.mark.parametrize(
    ("shape", "kernel", "options", "data"),
    [
        ((32, 64, 56, 56), (128, 64, 3, 3), (2, 1), {"channels"}),
        ((32, 16, 16, 16), (64, 16, 3, 3), (2, 1), {"channels"}),
        ((16, 8, 28, 28), (64, 8, 3, 3), (2, 1), {"direct"}),
        ((32, 256, 14, 14), (512, 256, 1, 1), (2, 0), {"channels"}),
        ((32, 64, 8, 8), (64, 64, 3, 3), (1, 1), {"winograd"}),
        ((32, 64, 28, 28), (64, 64, 1, 1), (1, 0), {"one tap"}),
        ((32, 32, 4, 4), (16, 32, 3, 3), (1, 1), {"lanes"}),
        ((32, 64, 56, 56), (64, 1, 3, 3), (2, 1), {"depthwise"}),
    ],
)
def test_the_choice_for_usual_data_gradients(shape, kernel, options, data, native):
    if harness.ISAS[-1] != "avx512":
        pytest.skip("the choices of AVX-512")
    native.set_isa("avx512")
    groups = shape[1] // kernel[1]
    g = checks.conv("conv2d", 2, np.empty(shape, "f"), np.empty(kernel, "f"), None, *options, 1, groups)[0]
    assert native.conv_data_paths(g, False) == data
