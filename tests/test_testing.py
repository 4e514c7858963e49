"""gradcheck finds what is wrong, says where, and leaves everything as it was."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn.autograd import raw, record
from fastnn.testing import GradientError, gradcheck


def _square_wrong_at(x, *, wrong):
    x_ = raw(x)

    def vjp(dy, needs):
        dx = 2 * x_ * dy
        for at in wrong:
            dx[at] *= 1.001
        return (dx,)

    return record("square", x_ * x_, (x,), vjp)


def test_right_gradients_pass():
    assert gradcheck(lambda x: _square_wrong_at(x, wrong=[]), np.linspace(1, 2, 6).reshape(2, 3))


def test_the_worst_element_is_named():
    x = np.linspace(1, 2, 6).reshape(2, 3)
    with pytest.raises(
        GradientError, match=r"input 0 of shape \(2, 3\), element \(1, 2\): .*; 1 of 6 elements are wrong"
    ):
        gradcheck(lambda t: _square_wrong_at(t, wrong=[(1, 2)]), x)


def test_a_lost_graph_is_found():
    with pytest.raises(GradientError, match="input 0"):
        gradcheck(lambda x: fnn.Tensor(x.data * 2), np.ones(3))


def test_nan_gradients_are_wrong():
    with pytest.raises(GradientError, match="nan"):
        gradcheck(lambda x: record("op", raw(x) * 1, (x,), lambda dy, needs: (dy * np.nan,)), np.ones(3))


def test_other_arguments_are_handed_on():
    def f(x, labels, factor, name):
        assert labels.dtype == np.int64
        assert name == "name"
        return x[labels] * factor

    assert gradcheck(f, np.ones(3), np.array([0, 2]), 2, "name")


def test_several_outputs():
    assert gradcheck(lambda x, y: (x * y, x + 2 * y), np.ones((2, 3)), np.ones(3))
    with pytest.raises(TypeError, match="must return tensors, not float"):
        gradcheck(lambda x: 1.0, np.ones(3))


def test_inputs_are_not_changed():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    before = x.data.copy()
    gradcheck(lambda t: t * t, x)
    np.testing.assert_array_equal(x.data, before)
    assert x.grad is None


def test_max_elements():
    calls = []

    def f(x):
        calls.append(1)
        return x * x

    gradcheck(f, np.ones(1000), max_elements=10)
    assert len(calls) == 23


def test_refusals():
    with pytest.raises(TypeError, match="float32"):
        gradcheck(lambda x: x, np.ones(3, np.float32))
    with pytest.raises(TypeError, match="no float64 input"):
        gradcheck(lambda x: x, np.arange(3))
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="different results"):
        gradcheck(lambda x: x * rng.random(), np.ones(3))
    with pytest.raises(ValueError, match="infinite"):
        gradcheck(lambda x: x * np.inf, np.ones(3))


def test_tolerances_can_be_set():
    x = np.linspace(1, 2, 6).reshape(2, 3)
    assert gradcheck(lambda t: _square_wrong_at(t, wrong=[(1, 2)]), x, rtol=1e-2)
    assert gradcheck(lambda t: _square_wrong_at(t, wrong=[(1, 2)]), x, atol=1.0, step=1e-4)
