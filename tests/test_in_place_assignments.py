"""Augmented assignments to tensors."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.autograd import raw


# Augmented assignments
def test_the_step_written_by_hand():
    model = fnn.nn.Linear(3, 2, rng=0)
    arrays = [p.data for p in model.parameters()]
    F.mse_loss(model(np.ones((4, 3), np.float32)), np.ones((4, 2), np.float32)).backward()
    before = [a.copy() for a in arrays]
    with fnn.no_grad():
        for p in model.parameters():
            same = p
            p -= 0.1 * p.grad
            assert p is same
    for p, a, b in zip(model.parameters(), arrays, before, strict=True):
        assert p.data is a
        np.testing.assert_array_equal(a, b - 0.1 * p.grad)


def test_each_assignment():
    other = np.array([[2.0, 0.5], [1.0, 3.0]])
    for name, compute in {
        "iadd": lambda x, y: x + y,
        "isub": lambda x, y: x - y,
        "imul": lambda x, y: x * y,
        "itruediv": lambda x, y: x / y,
        "ipow": lambda x, y: x**y,
        "imatmul": lambda x, y: x @ y,
    }.items():
        for y in (other, fnn.tensor(other)):
            x = fnn.tensor([[1.0, 2.0], [3.0, 4.0]])
            data, expected = x.data, compute(x.data.copy(), other)
            assert getattr(x, f"__{name}__")(y) is x
            assert x.data is data
            np.testing.assert_allclose(data, expected, rtol=1e-15)


def test_assignments_to_slices():
    x = fnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with fnn.no_grad():
        x[1:] += 1.0
        x[[0, 2]] *= 10.0
    np.testing.assert_array_equal(x.data, [10.0, 3.0, 40.0])
    with pytest.raises(RuntimeError, match="elements can be assigned in leaves only"):
        x[1:] += 1.0
    np.testing.assert_array_equal(x.data, [10.0, 3.0, 40.0])


def test_leaves_are_not_changed_while_they_are_recorded():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"add: a leaf that requires a gradient .* inside no_grad\(\)"):
        x += 1.0
    with pytest.raises(RuntimeError, match="multiply: a leaf"):
        x *= x
    np.testing.assert_array_equal(x.data, [1.0, 2.0])


def test_sums_of_computed_tensors():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    total = fnn.tensor(0.0)  # becomes part of the graph with the first summand
    first = total
    for _ in range(3):
        total += (x * x).sum()
    square = x * x
    doubled = square
    doubled *= 2.0
    assert first.item() == 0.0
    assert doubled is not square
    total.backward()
    np.testing.assert_array_equal(x.grad, [6.0, 12.0])
    value, tangent = fnn.jvp(_added_to_itself, [x.data], [np.ones(2)])
    np.testing.assert_array_equal(value, [2.0, 4.0])
    np.testing.assert_array_equal(tangent, [2.0, 2.0])
    np.testing.assert_array_equal(x.data, [1.0, 2.0])


def _added_to_itself(x):
    x += x
    return x


@pytest.mark.parametrize(
    ("array", "other", "error", "message"),
    [
        (np.zeros(3), np.zeros((2, 3)), ValueError, "add: .*broadcast"),
        (np.zeros(3), np.zeros(2), ValueError, "add: .*broadcast"),
        (np.zeros(3, np.int64), 0.5, TypeError, "add: .*cast"),
        (np.zeros(3, np.float32), 1j, TypeError, "add: .*complex"),
        (np.zeros(3)[::1], np.zeros(3), ValueError, "add: .*read-only"),
    ],
)
def test_what_does_not_fit_in_place(array, other, error, message):
    x = fnn.Tensor(array)
    array.flags.writeable = "read-only" not in message
    with pytest.raises(error, match=message):
        x += other
    np.testing.assert_array_equal(x.data, 0)


def test_types_of_assignments():
    x = fnn.tensor([1.0, 2.0], dtype=np.float32)
    x += np.ones(2)
    assert x.dtype == np.float32
    n = fnn.tensor(3)
    n += 1
    assert n.item() == 4
    assert n.dtype == np.int64


def test_a_recorded_tensor_is_not_assigned_to_elements():
    x, buffer = fnn.tensor([1.0, 2.0], requires_grad=True), fnn.tensor([0.0, 0.0])
    with pytest.raises(RuntimeError, match=r"which is not recorded; use fastnn\.stack"):
        buffer[0] = x.sum()
    buffer[0] = x.sum().detach()
    buffer[1] = x.numpy()[1]
    np.testing.assert_array_equal(raw(buffer), [3.0, 2.0])
