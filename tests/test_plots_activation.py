"""Pictures of activations: the function, its derivative, where it is saturated and where it is steepest."""

import importlib

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn
from fastnn.plots import activation
from fastnn.plots.activation import NAMED, curve
from pictures import new_axes, pyplot, rendered, state_of


def drawn(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_all_activations_of_the_library_are_known():
    modules = ("activation", "activation_hard", "activation_pieces", "activation_smooth", "softmax")
    names = {n for m in modules for n in importlib.import_module(f"fastnn.functional.{m}").__all__}
    names = {name for name in names if not name.endswith("_backward")}
    assert set(NAMED) == names


@pytest.mark.parametrize("name", NAMED)
def test_derivatives_are_those_of_central_differences(name):
    found = curve(name, NAMED[name], (-4.0, 4.0), 161)
    step = found.x[1] - found.x[0]
    differences = (found.y[2:] - found.y[:-2]) / (2 * step)
    # Many bend at 0; at another bend the slope of every function here jumps by more than that of a smooth one changes.
    away = np.abs(found.x[1:-1]) > 1.5 * step
    smooth = away & (np.abs(found.slope[2:] - found.slope[:-2]) < 0.15)
    assert smooth.mean() > 0.9
    np.testing.assert_allclose(found.slope[1:-1][smooth], differences[smooth], atol=2e-3)


def test_sigmoid_by_its_formula():
    found = curve("sigmoid", F.sigmoid)
    y = 1 / (1 + np.exp(-found.x))
    np.testing.assert_allclose(found.y, y, rtol=1e-12)
    np.testing.assert_allclose(found.slope, y * (1 - y), rtol=1e-9, atol=1e-12)
    assert found.x[found.peak] == 0
    assert found.slope[found.peak] == pytest.approx(0.25)
    edge = np.arccosh(np.sqrt(0.25 / 0.0125)) * 2  # where y (1 − y) is 5 % of 1/4
    np.testing.assert_allclose(found.saturated, [(-6, -edge), (edge, 6)], atol=0.02)


def test_relu_is_flat_below_zero_and_steepest_just_above():
    found = curve("relu", F.relu)
    assert found.saturated == ((-6.0, 0.0),)
    assert found.slope[found.peak] == 1
    assert 0 < found.x[found.peak] < 0.02


def test_a_turning_point_is_not_saturated():
    found = curve("gelu", F.gelu)
    assert len(found.saturated) == 1
    assert found.saturated[0][1] < -2
    assert curve("square", lambda x: x * x).saturated == ()
    assert curve("constant", lambda x: x * 0.0 + 2.0).saturated == ((-6.0, 6.0),)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_gaps_and_poles():
    found = curve("log", lambda x: x.log())
    assert np.isnan(found.y[0])
    assert np.isfinite(found.slope[found.peak])
    rendered(activation({"log": lambda x: x.log(), "1/x": lambda x: 1.0 / x}))


def test_a_single_function_with_its_saturated_zones():
    ax = rendered(activation("tanh"))
    lines = drawn(ax)
    found = curve("tanh", F.tanh)
    np.testing.assert_array_equal(lines["f(x)"].get_ydata(), found.y)
    np.testing.assert_array_equal(lines["f′(x), largest 1"].get_ydata(), found.slope)
    assert lines["f′(x), largest 1"].get_linestyle() == "--"
    zones = [(p.get_x(), p.get_x() + p.get_width()) for p in ax.patches]
    np.testing.assert_allclose(zones, found.saturated)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "f(x), f′(x)")


def test_several_functions_in_one_axes_or_each_in_its_own():
    ax = new_axes()
    assert activation(["sigmoid", "tanh", "relu"], ax=ax) is ax
    assert {"sigmoid", "tanh", "relu", "saturated"} <= set(drawn(rendered(ax)))
    axes = new_axes(2)
    result = activation({"mine": lambda x: x * x, "elu": nn.ELU()}, ax=axes)
    assert list(result) == list(axes)
    assert [one.get_title() for one in axes] == ["mine", "elu"]
    assert pyplot.get_fignums() == []


def test_layers_are_drawn_in_evaluation_mode_and_stay_as_they_are():
    layer = nn.RReLU()
    layer.train()
    before = state_of(layer)
    ax = activation([layer, nn.LeakyReLU(0.1)])
    assert state_of(layer) == before
    assert "LeakyReLU(0.1)" in drawn(ax)
    np.testing.assert_allclose(drawn(ax)[repr(layer)].get_ydata()[0], -6 * (1 / 8 + 1 / 3) / 2)
    prelu = nn.PReLU(dtype=np.float32)
    found = curve("prelu", prelu)
    assert found.slope[0] == pytest.approx(0.25)
    assert prelu.weight.grad is None


def test_both_backends():
    with fnn.use_backend("numpy"):
        reference = curve("gelu", F.gelu)
    np.testing.assert_allclose(curve("gelu", F.gelu).slope, reference.slope, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: activation("rulu"), ValueError, "there is no 'rulu', only celu, elu, gelu"),
        (lambda: activation([]), ValueError, "there are no functions"),
        (lambda: activation([3]), TypeError, "a name or callable, got 3"),
        (lambda: activation(nn.ReLU), TypeError, r"ReLU is a class; give an object of it, such as nn.ReLU\(\)"),
        (
            lambda: activation(np.tanh),
            TypeError,
            "tanh must take a tensor, as functions of fastnn do and those of NumPy",
        ),
        (lambda: activation({"own": lambda x: np.maximum(x, 0)}), TypeError, "own must take a tensor"),
        (lambda: activation("relu", span=(1, -1)), ValueError, "span must go upwards"),
        (lambda: activation("relu", span=3), TypeError, "span must be two numbers, got 3"),
        (
            lambda: activation(lambda x: x.sum()),
            TypeError,
            r"must give a tensor of the shape of its argument, \(801,\)",
        ),
        (lambda: activation({"log": lambda x: (x - 99.0).log()}), ValueError, "log is finite nowhere"),
        (lambda: activation(["relu", "elu"], ax=new_axes(3)), ValueError, "2 panels must have as many axes, got 3"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*log:RuntimeWarning")
def test_refused(call, error, text):
    with pytest.raises(error, match=f"^activation: .*{text}"):
        call()
    assert pyplot.get_fignums() == []
