"""Operations of tensors: values as NumPy's, gradients against central differences."""

import operator

import numpy as np
import pytest

import fastnn as fnn
from arrays import normal
from fastnn.testing import gradcheck


def _positive(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


BROADCAST = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((0, 3), (1, 3))]
BINARY = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "maximum": fnn.maximum,
    "minimum": fnn.minimum,
    "where": lambda a, b: fnn.where(_where_mask(a, b), a, b),
}
NUMPY = {"maximum": np.maximum, "minimum": np.minimum, "where": lambda a, b: np.where(_where_mask(a, b), a, b)}


def _where_mask(a, b):
    shape = np.broadcast_shapes(np.shape(a), np.shape(b))
    return np.arange(int(np.prod(shape))).reshape(shape) % 2 == 0


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", BROADCAST, ids=str)
def test_binary(name, shapes):
    a, b = _positive(*shapes[0], seed=1), _positive(*shapes[1], seed=2)
    y = BINARY[name](fnn.tensor(a), fnn.tensor(b))
    np.testing.assert_array_equal(y.data, NUMPY.get(name, BINARY[name])(a, b))
    assert gradcheck(BINARY[name], a, b)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power"])
@pytest.mark.parametrize(
    "other", [2, 1.5, np.float64(1.5), _positive(3), [1.0, 2.0, 3.0]], ids=lambda o: type(o).__name__
)
def test_operators_with_arrays_and_numbers_on_either_side(name, other):
    op, x = BINARY[name], _positive(2, 3)
    for f in (lambda t: op(t, other), lambda t: op(other, t)):
        y = f(fnn.tensor(x))
        assert isinstance(y, fnn.Tensor)
        np.testing.assert_array_equal(y.data, f(x))
        assert gradcheck(f, x)


def test_python_numbers_leave_float32_alone():
    x = fnn.tensor([1.0, 2.0], dtype=np.float32, requires_grad=True)
    for y in (x + 1.5, 2 * x, x / 3, x**2, 1 - x, x.mean(), x.var(), x.sqrt(), x[0] * 2.0):
        assert y.dtype == np.float32
        y.backward(np.ones_like(y.data))
    assert x.grad.dtype == np.float32


def test_mixed_dtypes_promote_and_gradients_come_back_in_the_own_one():
    a = fnn.tensor([1.0, 2.0], dtype=np.float32, requires_grad=True)
    b = fnn.tensor([3.0, 4.0], requires_grad=True)
    y = a * b
    assert y.dtype == np.float64
    y.sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(a.grad, [3.0, 4.0])


def test_power_at_zero():
    x = fnn.tensor([0.0, 2.0], requires_grad=True)
    for exponent, expected in ((0, [0.0, 0.0]), (1, [1.0, 1.0]), (2, [0.0, 4.0])):
        x.grad = None
        (x**exponent).sum().backward()
        np.testing.assert_array_equal(x.grad, expected)
    p = fnn.tensor([0.0, 3.0], requires_grad=True)
    (np.zeros(2) ** p).sum().backward()
    np.testing.assert_array_equal(p.grad, [0.0, 0.0])
    assert gradcheck(lambda a, b: a**b, _positive(4), normal(4))
    assert gradcheck(lambda a: a ** np.array([0.0, 1.0, 2.0, -1.0]), normal(4))


@pytest.mark.parametrize(
    "f",
    [
        operator.neg,
        abs,
        fnn.exp,
        fnn.log,
        fnn.sqrt,
        lambda x: x.abs(),
        lambda x: x.exp(),
        lambda x: x.log(),
        lambda x: x.sqrt(),
    ],
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)], ids=str)
def test_unary(f, shape):
    assert gradcheck(f, _positive(*shape))


def test_functions_give_arrays_for_arrays():
    assert type(fnn.exp(np.ones(2))) is np.ndarray
    assert type(fnn.concatenate([np.ones(2), np.ones(1)])) is np.ndarray
    np.testing.assert_array_equal(fnn.absolute(np.array([-1.0])), [1.0])


AXES = [None, 0, 1, -1, (0, 2), (-1, 0), (0, 1, 2)]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var"])
def test_reductions(name, axis, keepdims):
    x = normal(2, 3, 4)
    y = getattr(fnn.tensor(x), name)(axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(y.data, getattr(x, name)(axis=axis, keepdims=keepdims), rtol=1e-15)
    assert gradcheck(lambda t: getattr(t, name)(axis=axis, keepdims=keepdims), x)


def test_reductions_of_no_axes_and_empty_arrays():
    x = fnn.tensor(np.zeros((0, 3)), requires_grad=True)
    x.sum().backward()
    assert x.grad.shape == (0, 3)
    assert x.sum(axis=0).shape == (3,)
    with pytest.raises(ValueError, match="zero-size"):
        x.max()
    assert gradcheck(lambda t: t.sum(axis=()), normal(2, 2))


def test_variance_with_ddof():
    x = normal(3, 4)
    np.testing.assert_array_equal(fnn.tensor(x).var(axis=1, ddof=1).data, x.var(axis=1, ddof=1))
    assert gradcheck(lambda t: t.var(axis=1, ddof=1), x)


@pytest.mark.parametrize("name", ["max", "min"])
def test_first_of_equal_elements_gets_the_gradient(name):
    x = fnn.tensor([[1.0, 1.0], [1.0, 1.0]], requires_grad=True)
    getattr(x, name)(axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad, [[1.0, 0.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(1, None),
        slice(None, None, -2),
        (0, 1),
        (0, 1, 2),
        (Ellipsis, 0),
        (None, slice(None), 1),
        [0, 0, 2],
        np.array([[0, 1], [1, 1]]),
        (np.array([0, 1, 0]), slice(None), np.array([1, 1, 1])),
        np.array([True, False, True]),
        (slice(None), np.array([1, 1])),
        True,
    ],
    ids=str,
)
def test_indexing(index):
    x = normal(3, 4, 5)
    y = fnn.tensor(x)[index]
    np.testing.assert_array_equal(y.data, x[index])
    assert gradcheck(lambda t: t[index], x)


def test_indexing_by_tensors_and_iteration():
    x = fnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x[fnn.tensor([0, 0])].sum() + x[fnn.tensor(x > 2.5)].sum()).backward()
    np.testing.assert_array_equal(x.grad, [2.0, 0.0, 1.0])
    assert [float(v) for v in x] == [1.0, 2.0, 3.0]
    with pytest.raises(TypeError):
        list(fnn.tensor(1.0))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.reshape(4, 6),
        lambda x: x.reshape((3, -1)),
        lambda x: x.reshape(-1),
        lambda x: x.flatten(),
        lambda x: x.transpose(),
        lambda x: x.T,
        lambda x: x.transpose(1, 2, 0),
        lambda x: x.permute((2, 0, -2)),
        lambda x: x.swapaxes(0, -1),
        lambda x: x[:, :1].squeeze(1),
        lambda x: x[:1, :, :1].squeeze(),
        lambda x: fnn.concatenate([x, x[:1], 2 * x]),
        lambda x: fnn.concatenate([x, np.ones((2, 3, 1)), x[..., :2]], axis=-1),
        lambda x: fnn.stack([x, np.ones((2, 3, 4)), x * x], axis=1),
        lambda x: fnn.stack(list(x), axis=-1),
        lambda x: fnn.concatenate(x),
    ],
)
def test_shaping(f):
    assert gradcheck(f, normal(2, 3, 4))


def test_shaping_gives_numpy_shapes():
    x = fnn.tensor(normal(2, 3, 4))
    assert x.T.shape == (4, 3, 2)
    assert x.transpose(1, 2, 0).shape == x.permute((1, 2, 0)).shape == (3, 4, 2)
    assert fnn.autograd.shaping.expand_dims(x, (0, -1)).shape == (1, 2, 3, 4, 1)
    assert gradcheck(lambda t: fnn.autograd.shaping.expand_dims(t, 1), normal(2, 2))
    np.testing.assert_array_equal(x.reshape(6, 4).data, x.data.reshape(6, 4))


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
    ],
    ids=str,
)
def test_matmul(shapes):
    a, b = normal(*shapes[0], seed=1), normal(*shapes[1], seed=2)
    np.testing.assert_allclose((fnn.tensor(a) @ b).data, a @ b, rtol=1e-13, atol=1e-14)
    assert gradcheck(operator.matmul, a, b)
    assert gradcheck(lambda t: a @ t, b)


MANY = (1,) * 37  # axes: some of NumPy's functions take no more than 32


def test_matmul_of_many_axes():
    a, b = normal(2, *MANY, 3, 4), normal(2, *MANY[2:], 4, 5)
    x, y = fnn.tensor(a, requires_grad=True), fnn.tensor(b, requires_grad=True)
    z = x @ y
    np.testing.assert_allclose(z.data, a @ b)
    z.sum().backward()
    np.testing.assert_allclose(x.grad, np.broadcast_to(b.sum((0, -1)), a.shape))  # each a meets both of b
    np.testing.assert_allclose(y.grad.reshape(2, 4, 5), np.broadcast_to(a.sum((0, -2)).reshape(4, 1), (2, 4, 5)))


def test_indexing_of_many_axes():
    x = fnn.tensor(normal(3, *MANY, 4), requires_grad=True)
    y = x[np.array([2, 0, 2])]
    np.testing.assert_array_equal(y.data, x.data[[2, 0, 2]])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.reshape(3, 4), np.repeat([[1.0], [0.0], [2.0]], 4, 1))


def test_astype():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    y = x.astype(np.float32)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float64
    with pytest.raises(TypeError, match="int64"):
        x.astype(np.int64)


def test_comparisons_give_arrays():
    x = fnn.tensor([1.0, 2.0])
    for op in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        for other in (x, np.array([2.0, 2.0]), 2):
            result = op(x, other)
            assert type(result) is np.ndarray
            np.testing.assert_array_equal(result, op(x.data, getattr(other, "data", other) if other is x else other))
    assert len({x, fnn.tensor([1.0, 2.0])}) == 2
