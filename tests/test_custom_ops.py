"""Operations of one's own, and the errors that the tape raises instead of giving a wrong gradient."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.testing import GradientError, gradcheck

RNG = np.random.default_rng(3)


def swish():
    def forward(x, beta=1.0):
        s = 1 / (1 + np.exp(-beta * x))
        return x * s, (x, s, beta)

    def slope(saved):
        x, s, beta = saved
        return s + beta * x * s * (1 - s)

    return fnn.differentiable(forward, lambda saved, dy: dy * slope(saved), lambda saved, t: t * slope(saved), "swish")


def test_in_python():
    f, x = swish(), RNG.standard_normal((3, 4))
    assert gradcheck(f, x)
    assert gradcheck(lambda v: f(v, beta=0.5), x)
    value, tangent = fnn.jvp(f, [x], [np.ones_like(x)])
    np.testing.assert_allclose(tangent, fnn.vjp(f, x)[1](np.ones_like(x))[0])
    assert type(f(x)) is np.ndarray
    np.testing.assert_array_equal(f(fnn.tensor(x)).numpy(), value)


def test_around_a_kernel():
    """Two kernels in one operation, with the public backwards."""

    def forward(x, weight):
        y = F.conv1d(x, weight)
        return F.relu(y), (x, weight, y)

    def vjp(saved, dy):
        x, weight, y = saved
        return F.conv1d_backward(F.relu_backward(dy, y), x, weight)[:2]

    op = fnn.differentiable(forward, vjp)
    x, weight = RNG.standard_normal((2, 3, 7)), RNG.standard_normal((4, 3, 2))
    assert gradcheck(op, x, weight)
    with pytest.raises(NotImplementedError, match="forward: has no derivative in forward mode"):
        fnn.jvp(op, [x, weight], [x, None])


def test_several_results():
    op = fnn.differentiable(
        lambda x: ((np.sin(x), np.cos(x)), x),
        lambda x, ds, dc: np.cos(x) * ds - np.sin(x) * dc,
        lambda x, t: (np.cos(x) * t, -np.sin(x) * t),
        name="sincos",
    )
    x = RNG.standard_normal(5)
    assert gradcheck(op, x)
    assert gradcheck(lambda v: op(v)[1], x)
    np.testing.assert_allclose(fnn.jvp(lambda v: op(v)[1], [x], [x])[1], -np.sin(x) * x)
    assert all(type(r) is np.ndarray for r in op(x))


def test_several_results_twice_through_the_graph():
    op = fnn.differentiable(lambda x: ((x * 1, x * 2), None), lambda _, a, b: a + 2 * b)
    x = fnn.tensor([1.0], requires_grad=True)
    a, b = op(x)
    (a + b).backward(retain_graph=True)
    b.backward()
    assert x.grad == 3 + 2


def test_a_wrong_derivative_is_found():
    with pytest.raises(GradientError):
        gradcheck(fnn.differentiable(lambda x: (x**2, x), lambda x, dy: x * dy), np.ones(3))


def test_wrong_results_are_refused():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"mine: forward must return \(result, saved\)"):
        fnn.differentiable(lambda x: x, lambda s, dy: dy, name="mine")(x)
    with pytest.raises(ValueError, match="mine: the backward gave 2 gradients for 1 inputs"):
        fnn.differentiable(lambda x: (x, None), lambda s, dy: (dy, dy), name="mine")(x).sum().backward()
    with pytest.raises(ValueError, match="mine: the backward gave a gradient of shape"):
        fnn.differentiable(lambda x: (x, None), lambda s, dy: dy[:1], name="mine")(x).sum().backward()


def loss_of(model, x):
    return (model(x) ** 2).mean()


def test_an_optimiser_step_before_backward():
    model = fnn.nn.Linear(3, 2, rng=0)
    optimiser = fnn.optim.SGD(model.parameters(), lr=0.1)
    x = np.ones((4, 3), np.float32)
    early, late = loss_of(model, x), loss_of(model, x)
    late.backward()
    optimiser.step()
    with pytest.raises(
        RuntimeError, match=r"backward: linear was computed from a tensor of shape \(2, 3\) that was changed"
    ):
        early.backward()
    optimiser.zero_grad()
    loss_of(model, x).backward()


def test_load_state_dict_before_backward():
    model = fnn.nn.Linear(3, 2, rng=0)
    loss = loss_of(model, np.ones((4, 3), np.float32))
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match="changed in place since"):
        loss.backward()


def test_assignment_to_elements():
    x = fnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="elements can be assigned in leaves only"):
        x[0] = 5.0
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match="elements can be assigned in leaves only"):
        y[...] = 0.0
    with fnn.no_grad():
        x[fnn.tensor([0, 2])] = fnn.tensor([5.0, 6.0])
    assert x.numpy().tolist() == [5, 2, 6]
    with pytest.raises(RuntimeError, match="multiply was computed from a tensor"):
        y.backward()
    assert x.grad is None
    plain = fnn.tensor([1.0, 2.0])
    plain[0] = 7.0
    assert plain.numpy()[0] == 7


def test_a_change_through_numpy_is_found_by_detect_anomaly():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    with fnn.detect_anomaly():
        y = x.exp()
        z = (y * y).sum()
    y.data[0] = 0.0
    with pytest.raises(RuntimeError, match=r"(?s)that multiply was computed from.*test_custom_ops.py"):
        z.backward()


def test_a_nan_is_named():
    x = fnn.tensor([-1.0, 2.0], requires_grad=True)
    with fnn.detect_anomaly(), np.errstate(invalid="ignore"):
        y = (x.sqrt() * 2.0).sum()
        with pytest.raises(RuntimeError, match=r"(?s)the gradient of sqrt is NaN.*test_custom_ops.py"):
            y.backward()
    with fnn.detect_anomaly():
        (x * x).sum().backward()
    assert x.grad.tolist() == [-2, 4]


def test_backward_twice_and_no_path():
    x = fnn.tensor([1.0], requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"freed by an earlier backward \(at multiply\); pass retain_graph=True"):
        y.backward()
    with pytest.raises(RuntimeError, match="no input had requires_grad=True, or it went through no_grad"):
        x.detach().exp().backward()
