"""The tape: accumulation, deep graphs, freeing, errors; tensors as objects; grad and value_and_grad."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import fastnn as fnn
from fastnn.autograd import record


def test_the_examples_of_the_spec():
    # y = x·exp(x²): dy/dx = exp(x²)(1 + 2x²)
    x = fnn.tensor(0.7, requires_grad=True)
    (x * (x**2).exp()).backward()
    assert x.grad == pytest.approx(np.exp(0.49) * (1 + 2 * 0.49), rel=1e-14)
    # e = (a + b)(b + 1): de/da = b + 1, de/db = a + 2b + 1
    a, b = fnn.tensor(2.0, requires_grad=True), fnn.tensor(1.0, requires_grad=True)
    ((a + b) * (b + 1)).backward()
    assert (float(a.grad), float(b.grad)) == (2.0, 5.0)


def test_a_value_used_many_times_adds_up_and_shares_no_arrays():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    h = x * 1.0
    # add hands the same array to both inputs, several times over
    (h + h + h + x + (h + x)).sum().backward()
    np.testing.assert_array_equal(x.grad, [6.0, 6.0])
    a, b = fnn.tensor([1.0], requires_grad=True), fnn.tensor([1.0], requires_grad=True)
    (a + b).backward()
    a.grad += 1
    np.testing.assert_array_equal(b.grad, [1.0])


def test_gradients_accumulate_in_place():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    first = x.grad
    (x * 3.0).sum().backward()
    assert x.grad is first
    np.testing.assert_array_equal(first, [5.0, 7.0])
    seed = np.ones(2)
    x.grad = None
    x.backward(seed)
    assert x.grad is not seed


@pytest.mark.parametrize("length", [10_000, 100_000])
def test_deep_graphs(length):
    x = fnn.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(length):
        y = y + 1.0
    y.backward()
    assert x.grad == 1.0
    for _ in range(length):
        y = y + x
    del y  # freeing an unused graph must not recurse either


def test_wide_graphs():
    x = fnn.tensor(np.zeros(3), requires_grad=True)
    sum(x * float(i) for i in range(1000)).sum().backward()
    np.testing.assert_array_equal(x.grad, np.full(3, 499500.0))


def test_backward_twice():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad, [4.0, 8.0])
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_backward_frees_saved_arrays():
    class Probe(np.ndarray):
        pass

    big = np.ones(3).view(Probe)
    died = weakref.ref(big)
    x = fnn.tensor(np.ones(3), requires_grad=True)
    y = record("probe", x.data * 1, (x,), lambda dy, needs, big=big: (dy * big,))
    del big
    z = y.sum()
    assert died() is not None
    z.backward()
    assert died() is None


def test_backward_errors():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"shape \(2,\)"):
        (x * x).backward()
    with pytest.raises(ValueError, match=r"grad has shape \(3,\) but the tensor has shape \(2,\)"):
        (x * x).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="nothing that requires a gradient"):
        fnn.tensor([1.0]).backward()
    x.grad = np.zeros(3)
    with pytest.raises(ValueError, match=r"set \.grad to None"):
        x.sum().backward()


def test_wrong_custom_backwards_are_named():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="mine: the backward gave a gradient of shape"):
        record("mine", x.data * 2, (x,), lambda dy, needs: (dy[:1],)).sum().backward()
    with pytest.raises(ValueError, match="mine: the backward gave 2 gradients for 1 inputs"):
        record("mine", x.data * 2, (x,), lambda dy, needs: (dy, dy)).sum().backward()
    with pytest.raises(TypeError, match="mine: the result has dtype complex128"):
        record("mine", x.data * 1j, (x,), lambda dy, needs: (dy,))


def test_record_asks_only_for_the_gradients_needed():
    asked = []

    def vjp(dy, needs):
        asked.append(needs)
        assert dy.flags.c_contiguous
        return dy, None, None, None

    x, frozen = fnn.tensor(np.ones((2, 3)), requires_grad=True), fnn.tensor(np.ones((2, 3)))
    y = record("op", np.ones((2, 3)), (x, frozen, None, np.ones(3)), vjp)
    y.T.sum(axis=0).backward(np.ones(2))
    assert asked == [(True, False, False, False)]
    assert record("op", np.ones(3), (frozen,), vjp).requires_grad is False
    array = np.ones(3)
    assert record("op", array, (array, None), vjp) is array


def test_no_grad_and_enable_grad():
    x = fnn.tensor([1.0], requires_grad=True)
    with fnn.no_grad():
        assert not (x * 2).requires_grad
        with fnn.enable_grad():
            assert (x * 2).requires_grad
        assert not fnn.is_grad_enabled()
    assert fnn.is_grad_enabled()

    @fnn.no_grad()
    def f(t):
        return t * 2

    assert not f(x).requires_grad
    with pytest.raises(ZeroDivisionError), fnn.no_grad():
        1 / 0  # noqa: B018
    assert fnn.is_grad_enabled()


def test_grad_mode_belongs_to_the_thread():
    seen = []
    with fnn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(fnn.is_grad_enabled()))
        thread.start()
        thread.join(10)
    assert seen == [True]


def test_freezing():
    x, w = fnn.tensor([1.0], requires_grad=True), fnn.tensor([2.0], requires_grad=True)
    w.requires_grad = False
    y = x * w
    y.backward()
    assert w.grad is None
    with pytest.raises(RuntimeError, match="leaves"):
        (x * 2).requires_grad = False
    with pytest.raises(TypeError, match="int64"):
        fnn.tensor([1, 2], requires_grad=True)


def test_detach_and_retain_grad():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    h = x * x
    h.retain_grad()
    (h * h.detach()).sum().backward()
    np.testing.assert_array_equal(h.grad, [1.0, 4.0])
    np.testing.assert_array_equal(x.grad, [2.0, 16.0])
    assert not h.is_leaf
    assert x.is_leaf


def test_construction():
    array = np.ones(2)
    assert fnn.Tensor(array).data is array
    assert fnn.tensor(array).data is not array
    swapped = np.arange(3.0).astype(">f8")
    assert fnn.tensor(swapped).dtype.isnative
    assert fnn.tensor([1, 2]).dtype == np.int64
    assert fnn.tensor([1, 2], dtype="float32").dtype == np.float32
    assert fnn.tensor(fnn.tensor([1.0])).shape == (1,)
    for bad in (np.ones(1, np.float16), [1j], ["a"], [None]):
        with pytest.raises(TypeError, match="expected float32 or float64"):
            fnn.tensor(bad)


def test_as_a_number_and_an_array():
    x = fnn.tensor([[2.5]], requires_grad=True)
    assert (float(x), int(x), x.item(), bool(x), len(x)) == (2.5, 2, 2.5, True, 1)
    assert (x.shape, x.ndim, x.size, x.dtype) == ((1, 1), 2, 1, np.float64)
    assert np.asarray(x) is x.data
    assert x.numpy() is x.data
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    with pytest.raises(TypeError):
        np.exp(x)


def test_repr():
    assert repr(fnn.tensor([1.0])) == "tensor([1.])"
    assert repr(fnn.tensor([1.0], dtype=np.float32, requires_grad=True)) == (
        "tensor([1.], dtype=float32, requires_grad=True)"
    )
    assert repr(fnn.tensor([1.0], requires_grad=True) * 2) == "tensor([2.], from=multiply)"


def test_copy_and_pickle():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    x.sum().backward()
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        np.testing.assert_array_equal(y.data, x.data)
        np.testing.assert_array_equal(y.grad, x.grad)
        assert y.requires_grad
        assert not np.shares_memory(y.data, x.data)
    with pytest.raises(TypeError, match="detach"):
        copy.deepcopy(x * 2)


def test_grad_and_value_and_grad():
    def f(x, y, scale=1.0):
        return (x * x * y).sum() * scale

    value, gradient = fnn.value_and_grad(f)([1.0, 2.0], np.array([3.0, 4.0]), scale=2.0)
    assert type(value) is np.float64
    assert value == 38.0
    np.testing.assert_array_equal(gradient, [12.0, 32.0])
    gx, gy = fnn.grad(f, argnums=(0, 1))([1.0, 2.0], [3.0, 4.0])
    np.testing.assert_array_equal(gx, [6.0, 16.0])
    np.testing.assert_array_equal(gy, [1.0, 4.0])
    with fnn.no_grad():
        np.testing.assert_array_equal(fnn.grad(f, -1)(np.array([1.0, 2.0]), [3.0, 4.0]), [1.0, 4.0])


def test_grad_leaves_other_gradients_alone():
    w = fnn.tensor([2.0], requires_grad=True)
    x = fnn.tensor([3.0], requires_grad=True)
    np.testing.assert_array_equal(fnn.grad(lambda t: (t * w).sum())(x), [2.0])
    assert w.grad is None
    assert x.grad is None
    np.testing.assert_array_equal(fnn.grad(lambda t: w.sum())(x), [0.0])


def test_grad_errors():
    with pytest.raises(TypeError, match=r"one-element tensor, not a tensor of shape \(2,\)"):
        fnn.grad(lambda x: x * 2)([1.0, 2.0])
    with pytest.raises(TypeError, match="not float"):
        fnn.grad(lambda x: 1.0)([1.0])
    with pytest.raises(ValueError, match="argnums=1"):
        fnn.grad(lambda x: x, 1)([1.0])
    with pytest.raises(TypeError, match="int64"):
        fnn.grad(lambda x: x.sum())([1])
    for argnums in ((0, 0), (0, -2), (1, 0, -1)):
        with pytest.raises(ValueError, match=r"argnums=\(.*\) names one of 2 positional arguments twice"):
            fnn.grad(lambda x, y: (x * y).sum(), argnums)([1.0], [2.0])


def test_a_tensor_whose_gradient_is_to_be_kept_is_freed_at_once():
    x = fnn.tensor([1.0], requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        y = x * 2.0
        y.retain_grad()
        died = weakref.ref(y)
        z = y * 3.0
        del y
        assert died() is None
        z.backward()
    finally:
        gc.enable()
    np.testing.assert_array_equal(x.grad, [6.0])


def cube(x):
    return (x**3).sum()


@pytest.mark.parametrize(
    "f",
    [
        lambda a: fnn.grad(cube)(a).sum(),
        lambda a: (fnn.grad(cube)(a * 2.0) * a).sum(),
        lambda a: (a * fnn.grad(lambda b: (a * b).sum())([3.0])).sum(),
        lambda a: (a * fnn.grad(lambda b, c=a * 2.0: (c * b).sum())([3.0])).sum(),
        lambda a: (a * fnn.vjp(cube, a)[1](1.0)[0]).sum(),
        lambda a: (a * fnn.jvp(cube, [a], [[1.0]])[1]).sum(),
        lambda a: (a * fnn.jvp(lambda b: a * b, [[2.0]], [[1.0]])[1]).sum(),
    ],
)
def test_second_derivatives_are_refused_wherever_they_would_be_lost(f):
    with pytest.raises(NotImplementedError, match="second derivatives are not supported"):
        fnn.grad(f)(fnn.tensor([2.0]))
    with pytest.raises(NotImplementedError, match="second derivatives are not supported"):
        fnn.vjp(f, [2.0])


def test_a_derivative_in_forward_mode_of_one_in_reverse_mode_is_refused():
    with pytest.raises(NotImplementedError, match="second derivatives are not supported"):
        fnn.jvp(lambda a: a * fnn.grad(cube)(a), [[2.0]], [[1.0]])


def test_a_plain_array_as_the_value_says_why():
    with pytest.raises(TypeError, match="second derivatives are not supported"):
        fnn.grad(lambda a: fnn.grad(cube)([2.0]).sum())([1.0])


def test_derivatives_of_constants_inside_a_derivative():
    value = fnn.grad(lambda a: (a * fnn.grad(cube)([2.0])).sum())([1.0])
    np.testing.assert_array_equal(value, [12.0])
    detached = fnn.grad(lambda a: (a * fnn.grad(cube)(a.detach())).sum())([2.0])
    np.testing.assert_array_equal(detached, [12.0])
