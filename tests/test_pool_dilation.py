"""Average and L_p pooling with dilation, against ONNX's definition and windows that are cut out; the layers."""

import itertools

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn

CASES = list(
    itertools.product(
        ((9, 12), (5, 7)),  # image
        (2, (3, 2)),  # kernel
        (1, 2, 3),  # stride
        (0, 1),  # padding
        (2, (1, 3)),  # dilation
        (False, True),  # ceil_mode
        (False, True),  # count_include_pad
    )
)


def pair(value):
    return list(value) if isinstance(value, tuple) else [value] * 2


def legal(image, kernel, padding, dilation):
    axes = zip(image, pair(kernel), pair(dilation), strict=True)
    return all(d * (k - 1) + 1 <= n + 2 * padding and padding < k for n, k, d in axes)


LEGAL = [case for case in CASES if legal(case[0], case[1], case[3], case[4])]


def test_against_onnx():
    helper, reference = pytest.importorskip("onnx.helper"), pytest.importorskip("onnx.reference")
    tensor = lambda name: helper.make_tensor_value_info(name, 1, None)
    rng = np.random.default_rng(0)
    for image, kernel, stride, padding, dilation, ceil_mode, include_pad in LEGAL[::3]:
        x = rng.standard_normal((2, 3, *image), dtype=np.float32)
        node = helper.make_node(
            "AveragePool", ["x"], ["y"], kernel_shape=pair(kernel), strides=pair(stride), pads=[padding] * 4,
            dilations=pair(dilation), ceil_mode=int(ceil_mode), count_include_pad=int(include_pad),
        )  # fmt: skip
        graph = helper.make_graph([node], "pool", [tensor("x")], [tensor("y")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
        (expected,) = reference.ReferenceEvaluator(model).run(None, {"x": x})
        y = F.avg_pool2d(x, kernel, stride, padding, ceil_mode, include_pad, dilation=dilation)
        what = f"{image} {kernel} {stride} {padding} {dilation} {ceil_mode} {include_pad}"
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6, err_msg=what)


def test_against_windows_that_are_cut_out():
    """In float64, by NumPy's views of windows: every second element of wide ones."""
    x = np.random.default_rng(1).standard_normal((2, 3, 11, 14))
    wide = np.lib.stride_tricks.sliding_window_view(x, (5, 7), axis=(2, 3))[:, :, ::2, :, ::2, ::3]
    means = F.avg_pool2d(x, (3, 3), (2, 1), dilation=(2, 3))
    np.testing.assert_allclose(means, wide.mean(axis=(-1, -2)), rtol=1e-13, atol=1e-14)
    norms = F.lp_pool2d(x, 3, (3, 3), (2, 1), dilation=(2, 3))
    np.testing.assert_allclose(norms, (np.abs(wide) ** 3).sum(axis=(-1, -2)) ** (1 / 3), rtol=1e-13)


LAYERS = [
    (nn.AvgPool1d(2, 1, dilation=3), (2, 3, 9), lambda x: F.avg_pool1d(x, 2, 1, dilation=3)),
    (nn.AvgPool2d(2, dilation=(2, 1)), (2, 3, 9, 8), lambda x: F.avg_pool2d(x, 2, dilation=(2, 1))),
    (nn.AvgPool3d(2, 1, dilation=2), (1, 2, 4, 5, 6), lambda x: F.avg_pool3d(x, 2, 1, dilation=2)),
    (nn.LPPool1d(3, 2, 1, dilation=3), (2, 3, 9), lambda x: F.lp_pool1d(x, 3, 2, 1, dilation=3)),
    (nn.LPPool2d(2, 2, dilation=(2, 1)), (2, 3, 9, 8), lambda x: F.lp_pool2d(x, 2, 2, dilation=(2, 1))),
    (nn.LPPool3d(1, 2, 1, dilation=2), (1, 2, 4, 5, 6), lambda x: F.lp_pool3d(x, 1, 2, 1, dilation=2)),
]


@pytest.mark.parametrize(("layer", "shape", "function"), LAYERS, ids=[repr(layer) for layer, *_ in LAYERS])
def test_layers(layer, shape, function):
    x = np.random.default_rng(2).standard_normal(shape)
    np.testing.assert_array_equal(layer(x), function(x))
    assert "dilation=" in repr(layer)
    state = nn.architecture(layer)
    again = nn.from_architecture(state)
    assert repr(again) == repr(layer)
    np.testing.assert_array_equal(again(x), layer(x))


def test_the_receptive_field_counts_dilation():
    model = nn.Sequential(nn.AvgPool2d(3, 2, dilation=2), nn.LPPool2d(2, 2, 1, dilation=(3, 1)))
    rows = fnn.summary(model, (1, 20, 20)).rows
    assert [row.receptive_field for row in rows[-2:]] == [(5, 5), (11, 7)]
